"""ShuffleNet V2's guidelines that a layer breaks by itself: G1, G2 and G4 (Ma et al. 2018, section 2)."""

from __future__ import annotations

import math
from collections.abc import Iterator

from edgekit.graph.advice.finding import Finding, Rule
from edgekit.graph.cost import Cost
from edgekit.graph.layer import Layer, Weights
from edgekit.graph.traffic import ELEMENTWISE as OPERATORS

SOURCE = "Ma et al. 2018"
WIDTHS = Rule("G1", "1×1 convolutions of unequal widths move more memory than equal ones", SOURCE)
GROUPS = Rule("G2", "group convolutions move more memory for each multiply-accumulate", SOURCE)
ELEMENTWISE = Rule(
    "G4", "element-wise operators and depthwise convolutions compute little and move much", SOURCE
)


def unequal_widths(cost: Cost) -> list[Finding]:
    """1×1 convolutions over pictures; what is told is the memory access over that at equal widths and MACs."""
    return [
        Finding(
            (layer.name,),
            f"{weights.input_channels} → {weights.output_channels} channels: "
            f"{_access_ratio(layer, weights):.2f} times the memory access of equal widths",
        )
        for layer, weights in _pointwise(cost)
        if weights.input_channels != weights.output_channels
    ]


def group_convolutions(cost: Cost) -> list[Finding]:
    """Convolutions in groups that are not depthwise; those are G4's."""
    return [
        Finding(
            (layer.name,),
            f"{layer.weights.groups} groups: {layer.macs_per_byte:.1f} MACs for each byte that is moved",
        )
        for layer in cost.layers
        if layer.weights and layer.weights.groups > 1 and not layer.weights.is_depthwise
    ]


def elementwise(cost: Cost) -> list[Finding]:
    """What runtimes do not fuse (sums, products), by operator, and the depthwise convolutions, as the paper counts."""
    kinds: dict[str, list[Layer]] = {}
    for layer in cost.layers:
        if layer.operator in OPERATORS:
            kinds.setdefault(layer.operator, []).append(layer)
        elif layer.weights and layer.weights.is_depthwise:
            kinds.setdefault("depthwise convolution", []).append(layer)
    return [
        Finding(tuple(layer.name for layer in layers), f"{kind}, {len(layers)}×: {_share(layers, cost)}")
        for kind, layers in kinds.items()
    ]


def _pointwise(cost: Cost) -> Iterator[tuple[Layer, Weights]]:
    """Ungrouped ones; over one pixel alone they are linear layers."""
    for layer in cost.layers:
        if layer.weights and layer.operator == "conv 1x1" and math.prod(layer.output_shape[2:]) > 1:
            yield layer, layer.weights


def _access_ratio(layer: Layer, weights: Weights) -> float:
    """hw(c1 + c2) + c1·c2 over 2hw√(c1·c2) + c1·c2: the paper's equations 1 and 2, in elements."""
    pixels = math.prod(layer.output_shape[2:])
    inputs, outputs = weights.input_channels, weights.output_channels
    least = 2 * pixels * math.sqrt(inputs * outputs) + inputs * outputs
    return (pixels * (inputs + outputs) + inputs * outputs) / least


def _share(layers: list[Layer], cost: Cost) -> str:
    moved = sum(layer.memory_access_bytes for layer in layers) / cost.memory_access_bytes
    computed = sum(layer.macs for layer in layers) / max(cost.macs, 1)
    return f"{moved:.1%} of the memory access, {computed:.1%} of the MACs"
