"""Layers that see more than there is (Richter et al. 2021, arXiv:2106.12307: unproductive layers)."""

from __future__ import annotations

from edgekit.graph.advice.finding import Finding, Rule
from edgekit.graph.cost import Cost

RULE = Rule("reach", "layers that see further than the input reaches", "Richter et al. 2021")


def beyond_input(cost: Cost) -> list[Finding]:
    """Convolutions wider than one pixel whose receptive field is larger than the input, in both directions."""
    height, width = cost.input_shape[-2:]
    beyond = [
        layer
        for layer in cost.layers
        if layer.weights
        and not layer.weights.is_pointwise
        and layer.receptive_field[0] > height
        and layer.receptive_field[1] > width
    ]
    if not beyond:
        return []
    rows, columns = beyond[0].receptive_field
    share = sum(layer.macs for layer in beyond) / max(cost.macs, 1)
    text = (
        f"{rows}×{columns} in an input of {height}×{width}, from {beyond[0].name} on: {share:.1%} of the MACs"
    )
    return [Finding(tuple(layer.name for layer in beyond), text)]
