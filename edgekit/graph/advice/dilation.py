"""Hybrid dilated convolution: stacks of dilations that leave holes (Wang et al. 2018, arXiv:1702.08502)."""

from __future__ import annotations

import math
from collections.abc import Sequence

from edgekit.graph.advice.finding import Finding, Rule
from edgekit.graph.cost import Cost
from edgekit.graph.layer import Layer, Weights

RULE = Rule(
    "HDC", "stacked dilations without a common factor and with M2 ≤ K leave no holes", "Wang et al. 2018"
)
RESIZING = ("max_pool2d", "avg_pool2d", "upsample", "_upsample", "pixel_", "conv_transpose", "adaptive")


def gridding(cost: Cost) -> list[Finding]:
    """Stacks of spatial convolutions at one resolution, dilated somewhere, that break the rule."""
    findings = []
    for stack in _stacks(cost):
        rates = [weights.dilation[0] for _, weights in stack]
        kernel = min(weights.kernel[0] for _, weights in stack)
        if max(rates) > 1 and (reason := holes(rates, kernel)):
            findings.append(Finding(tuple(layer.name for layer, _ in stack), reason))
    return findings


def holes(rates: Sequence[int], kernel: int) -> str:
    """What is wrong with the dilations of stacked K×K convolutions, the first layer's first; empty if nothing is."""
    said = f"dilations {', '.join(map(str, rates))}"
    if len(rates) < 2:
        return ""
    if (factor := math.gcd(*rates)) > 1:
        return f"{said}: common factor {factor}"
    gap = rates[-1]
    for rate in reversed(rates[1:-1]):  # down to M2, between the pixels that the second layer joins
        gap = max(gap - 2 * rate, gap - 2 * (gap - rate), rate)
    return f"{said}: M2 = {gap} > {kernel}" if gap > kernel else ""


def _stacks(cost: Cost) -> list[list[tuple[Layer, Weights]]]:
    """The longest chains of convolutions wider than one pixel that no change of resolution interrupts."""
    chains: list[tuple[int, ...]] = []
    ends: dict[tuple[int, ...], None] = {}
    for place, layer in enumerate(cost.layers):
        chain = max((chains[before] for before in layer.after), key=len, default=())
        if layer.operator.startswith(RESIZING):
            chain = ()
        elif layer.weights and not layer.weights.is_pointwise:
            begun = () if max(layer.weights.stride) > 1 else chain
            ends.pop(begun, None)
            chain = (*begun, place)
            ends[chain] = None
        chains.append(chain)
    return [
        [(layer, layer.weights) for place in chain if (layer := cost.layers[place]).weights] for chain in ends
    ]
