"""Scales for every integer activation, from samples run through the float network."""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from edgekit.errors import InputError
from edgekit.model import ActivationScale
from edgekit.quantizer.choose import nearest_at_readers
from edgekit.quantizer.observers import HistogramObserver
from edgekit.quantizer.placement import Placement, activation_name, origin, place
from edgekit.quantizer.ranges import OBSERVERS, Histogram
from edgekit.quantizer.simulate import Rounded, Walk, decibels, outputs_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping

    from torch import Tensor, fx

    from edgekit.quantizer.simulate import Grids, Values
    from edgekit.target import Int8Rules

    Histograms = Mapping[fx.Node, Histogram]
    Options = dict[fx.Node, dict[str, ActivationScale]]

# Functions onto a fixed interval get the grid that LiteRT's 8-bit specification builds into its kernels.
_FIXED = {
    "sigmoid": ActivationScale(scale=1 / 256, zero_point=-128),
    "softmax": ActivationScale(scale=1 / 256, zero_point=-128),
    "tanh": ActivationScale(scale=1 / 128, zero_point=0),
}
_CLEARLY = 0.5  # decibels; less is chance


@dataclass(frozen=True, eq=False)
class Choice:
    """A scale for each integer activation, by name, and how near the rounded network comes with them."""

    grids: dict[str, ActivationScale]
    observers: dict[str, int]
    """How many scales each observer gave."""
    decibels: float
    trials: dict[str, float]
    """What the others reached that were tried: each observer for all tensors alike."""


class Calibration:
    """A folded graph, what a target's rules make an integer of it, and samples to try scales on."""

    def __init__(self, graph: fx.GraphModule, rules: Int8Rules, own: Collection[str] | None = None) -> None:
        self.graph, self.rules, self.placement = graph, rules, place(graph, rules)
        self.own = own
        """The weights and biases that can be written back; all, if not said."""

    def owns(self, parameter: fx.Node) -> bool:
        """Whether a weight or bias may change: it can be written back, and no second operator reads it."""
        known = self.own is None or parameter.target in self.own
        return known and parameter.op == "get_attr" and len(parameter.users) == 1

    def observe(self, batches: Iterable[Tensor], values: Values | None = None) -> Histograms:
        """Count what every activation becomes, one histogram for all that share a scale.

        Raises `InputError` where an activation is not finite.
        """
        walk = _Observing(self.graph, self.placement, values)
        for images in batches:
            walk.run(images)
        for leader, observer in walk.observers.items():
            if not math.isfinite(observer.limit):
                raise InputError(
                    f"the network's {leader.name} is not finite on the calibration data",
                    hint="INT8 needs finite activations: look at the weights and at the preprocessing",
                )
        return {leader: observer.histogram() for leader, observer in walk.observers.items()}

    def choose(
        self, seen: Histograms, images: Tensor, wanted: Tensor, values: Values | None = None
    ) -> Choice:
        """The observer of each tensor by what its readers lose; or one for all, if the network loses less by that.

        `wanted` is what the network gives in float for `images`. Extremes are the first of those that are taken for
        all, and others must be clearly better: they clip what other samples may need.
        """
        options = self.options(seen)
        trials: dict[str, float] = {}
        best = ""
        for name in OBSERVERS:
            trials[name] = self.decibels(self.grids(options, name), images, wanted, values)
            if not best or trials[name] > trials[best] + _CLEARLY:
                best = name
        each = nearest_at_readers(self, options, images, values)
        found = self.decibels(self.grids(options, each), images, wanted, values)
        if found >= trials[best]:
            return Choice(self.grids(options, each), dict(Counter(each.values())), found, trials)
        trials["per tensor"] = found
        return Choice(self.grids(options, best), {best: len(options)}, trials[best], trials)

    def decibels(self, grids: Grids, images: Tensor, wanted: Tensor, values: Values | None = None) -> float:
        """How near the rounded network comes to `wanted`."""
        return decibels(wanted, outputs_of(Rounded(self.graph, self.placement, grids, values), images))

    def options(self, seen: Histograms) -> Options:
        """What each observer would give each tensor that leads."""
        leaders, symmetric = self.placement.leaders, self.rules.symmetric_activations
        shared = Counter(leaders.values())
        found: Options = {}
        for leader, histogram in seen.items():
            fixed = None if symmetric or shared[leader] > 1 else _FIXED.get(activation_name(leader))
            found[leader] = {
                name: fixed or observer(histogram, symmetric) for name, observer in OBSERVERS.items()
            }
        return found

    def grids(self, options: Options, names: str | Mapping[fx.Node, str]) -> dict[str, ActivationScale]:
        """Of one observer for all, or of each one's own; by name, also of those that share a scale."""
        chosen = {
            leader: grids[names if isinstance(names, str) else names[leader]]
            for leader, grids in options.items()
        }
        return {node.name: chosen[leader] for node, leader in self.placement.leaders.items()}


class _Observing(Walk):
    def __init__(self, graph: fx.GraphModule, placement: Placement, values: Values | None) -> None:
        super().__init__(graph, values)
        self.leaders = {node: leader for node, leader in placement.leaders.items() if origin(node) is node}
        made = {leader: HistogramObserver() for leader in placement.leaders.values()}
        self.observers: dict[fx.Node, HistogramObserver] = made

    def run_node(self, n: fx.Node) -> Any:
        value = super().run_node(n)
        if (leader := self.leaders.get(n)) is not None:
            self.observers[leader].see(value)
        return value
