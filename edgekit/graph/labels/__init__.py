"""Channel labels: the network's own data movement, run on integers instead of activations.

Every output channel of a convolution or linear layer gets a label. Views, permutations, chunks and concatenations
move labels exactly as they move channels; an element-wise meeting unites the labels that meet; a weighted layer
consumes labels and makes new ones. The rules are one module for each kind of operator.
"""

from __future__ import annotations

from collections.abc import Mapping

from torch import fx

from edgekit.graph.labels import (
    cells,
    contraction,
    copying,
    elementwise,
    joining,
    layers,
    movement,
    normalizing,
    reducing,
    reshaping,
)
from edgekit.graph.labels.book import Axis, Book
from edgekit.graph.labels.walk import MisfitError, Rule, Use, Walk

__all__ = ["Axis", "MisfitError", "Use", "Walk", "label_channels", "label_smaller"]

RULES: Mapping[str, Rule] = {
    name: rule
    for rules in (
        layers.RULES,
        contraction.RULES,
        elementwise.RULES,
        normalizing.RULES,
        reducing.RULES,
        movement.RULES,
        joining.RULES,
        reshaping.RULES,
        cells.RULES,
        copying.RULES,
    )
    for name, rule in rules.items()
}
"""Operator → what it does to labels; one that is not here freezes the channels that it touches."""


def label_channels(graph: fx.GraphModule) -> Walk:
    """Walk a traced network with labels."""
    return Walk(Book(), {}, None, partly=False).over(graph, RULES)


def label_smaller(
    graph: fx.GraphModule, whole: Walk, widths: Mapping[Axis, int], *, partly: bool = False
) -> Walk:
    """Walk the network as it would be with `widths` channels for the producers named.

    With `partly`, only where these widths, which must all be new ones, change anything. Raises `MisfitError` where
    the network's operators cannot be run at them.
    """
    return Walk(whole.book, widths, whole, partly=partly).over(graph, RULES)
