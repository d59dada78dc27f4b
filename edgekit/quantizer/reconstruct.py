"""Layer after layer, in the order in which they run: what rounding does to each is made good by its own numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx

from edgekit.quantizer.adaround import Layer, learned
from edgekit.quantizer.graphs import operand, packet
from edgekit.quantizer.placement import tail_of
from edgekit.quantizer.simulate import Rounded, Walk
from edgekit.quantizer.weights import along, has_bias

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.quantizer.scales import Calibration
    from edgekit.quantizer.simulate import Grids, Values


@dataclass(frozen=True)
class Steps:
    """What is done to each layer."""

    correct_bias: bool
    """Its bias takes in what its channels are off by on average (Nagel et al. 2019, section 4.2, from data)."""
    rounding_steps: int = 0
    """Its weights are rounded up or down as its output asks for, in so many steps (`adaround.py`)."""
    seed: int = 0


def reconstructed(
    calibration: Calibration,
    grids: Grids,
    values: Values,
    images: Tensor,
    steps: Steps,
    *,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Tensor]:
    """`values`, which leave the network what it is in float, with those that bring it nearer to that when rounded.

    Each layer sees inputs as the rounded layers before it give them, mended already; `told` hears of each whose
    rounding is learned.
    """
    graph, placement = calibration.graph, calibration.placement
    exact, rough = Walk(graph, values), Rounded(graph, placement, grids, values)
    exact.begin(images)
    rough.begin(images)
    found = dict(values)
    for node in graph.graph.nodes:
        wanted = exact.step(node)
        mendable = node in placement.channel_axes and calibration.owns(operand(node, 1))
        if mendable:
            layer = _Mended(rough, node, tail_of(node, calibration.rules), wanted, exact)
            if steps.rounding_steps:
                told(str(operand(node, 1).target).removesuffix(".weight"))
                found |= layer.round(placement.channel_axes[node], steps)
        computed = rough.computed(node)
        if mendable and steps.correct_bias and has_bias(node) and calibration.owns(operand(node, 2)):
            shift = layer.shift(computed)
            computed = computed + along(shift, layer.channels, computed.dim())
            found[str(operand(node, 2).target)] = rough.tensor(operand(node, 2)) + shift
        rough.env[node] = rough.settled(node, computed)
        exact.leave(node)
        rough.leave(node)
    return found


class _Mended:
    """One weighted operator, with what it gives in float."""

    def __init__(self, rough: Rounded, node: fx.Node, tail: fx.Node, wanted: Tensor, exact: Walk) -> None:
        self.rough, self.node, self.tail, self.wanted = rough, node, tail, wanted
        args = () if tail is node else fx.node.map_arg(tail.args[1:], exact.env.__getitem__)
        self.args: tuple[Any, ...] = tuple(args)
        self.channels = wanted.dim() - 1 if packet(node) is torch.ops.aten.linear else 1

    def activated(self, value: Tensor) -> Tensor:
        """Behind the function that the runtime computes along, if any."""
        if self.tail is self.node:
            return value
        result: Tensor = getattr(self.rough, self.tail.op)(
            self.tail.target, (value, *self.args), dict(self.tail.kwargs)
        )
        return result

    def shift(self, computed: Tensor) -> Tensor:
        """What a channel is off by on average, where adding that brings it nearer; else 0.

        Behind the activation function and on its grid, a few values that are cut off there count no more than others.
        """
        others = [each for each in range(computed.dim()) if each != self.channels]
        shift = (self.wanted - computed).mean(others)
        goal = self.activated(self.wanted)
        shifted = computed + along(shift, self.channels, computed.dim())
        before, after = (
            (self.rough.settled(self.tail, self.activated(value)) - goal).square().sum(others)
            for value in (computed, shifted)
        )
        return torch.where(after < before, shift, 0.0)

    def round(self, axis: int, steps: Steps) -> dict[str, Tensor]:
        """The weight by its name, if learning was of use, and the walk goes on with it."""
        rough, node = self.rough, self.node
        (inputs, _, *rest), kwargs = rough.fetch_args_kwargs_from_env(node)

        def compute(weight: Tensor, inputs: Tensor) -> Tensor:
            return self.activated(getattr(rough, node.op)(node.target, (inputs, weight, *rest), kwargs))

        layer = Layer(rough.tensor(operand(node, 1)), rough.scales[node], axis, compute)
        goal = self.activated(self.wanted)
        weight = learned(layer, inputs, goal, steps=steps.rounding_steps, seed=steps.seed)
        if weight is None:
            return {}
        rough.weights[node] = weight
        return {str(operand(node, 1).target): weight}
