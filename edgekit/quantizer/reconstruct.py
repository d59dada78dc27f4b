"""Layer after layer, in the order in which they run: what rounding does to each is made good by its own numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, fx

from edgekit.quantizer.adaround import Layer, learned
from edgekit.quantizer.graphs import operand, packet
from edgekit.quantizer.placement import Placement, tail_of
from edgekit.quantizer.simulate import Rounded, Walk, along
from edgekit.quantizer.weights import has_bias

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.quantizer.simulate import Grids, Values
    from edgekit.target import Int8Rules


@dataclass(frozen=True)
class Steps:
    """What is done to each layer."""

    correct_bias: bool
    """Its bias takes in what its channels are off by on average (Nagel et al. 2019, section 4.2, from data)."""
    rounding_steps: int = 0
    """Its weights are rounded up or down as its output asks for, in so many steps (`adaround.py`)."""
    seed: int = 0


def reconstructed(
    graph: fx.GraphModule,
    placement: Placement,
    rules: Int8Rules,
    grids: Grids,
    values: Values,
    images: Tensor,
    steps: Steps,
    told: Callable[[str], None] = lambda _: None,
) -> dict[str, Tensor]:
    """`values`, which leave the network what it is in float, with those that bring it nearer to that when rounded.

    Each layer sees inputs as the rounded layers before it give them, mended already.
    """
    exact, rough = Walk(graph, values), Rounded(graph, placement, grids, values)
    exact.begin(images)
    rough.begin(images)
    found = dict(values)
    for node in graph.graph.nodes:
        wanted = exact.step(node)
        if node in placement.channel_axes and _owns(operand(node, 1)):
            tail = tail_of(node, rules)
            activation = _activation(tail, node, exact)
            if steps.rounding_steps:
                told(str(operand(node, 1).target).removesuffix(".weight"))
                found |= _rounded(rough, placement.channel_axes[node], node, wanted, activation, steps)
            computed = rough.computed(node)
            if steps.correct_bias and has_bias(node) and _owns(operand(node, 2)):
                shift = _shift(node, wanted, computed, activation, lambda value: rough.settled(tail, value))
                computed = computed + along(shift, _channels(node), computed.dim())
                found[str(operand(node, 2).target)] = rough.tensor(operand(node, 2)) + shift
        else:
            computed = rough.computed(node)
        rough.env[node] = rough.settled(node, computed)
        exact.leave(node)
        rough.leave(node)
    return found


def _owns(parameter: fx.Node) -> bool:
    """A layer that is used twice cannot be mended for one place."""
    return len(parameter.users) == 1


def _channels(node: fx.Node) -> int:
    """The axis of the result that counts channels."""
    return node.meta["val"].dim() - 1 if packet(node) is torch.ops.aten.linear else 1


def _shift(
    node: fx.Node,
    wanted: Tensor,
    computed: Tensor,
    activation: Callable[[Tensor], Tensor],
    settled: Callable[[Tensor], Tensor],
) -> Tensor:
    """What a channel is off by on average, where adding that brings it nearer; else 0.

    Behind the activation function and on its grid a few values that are cut off, but far off before, count no more.
    """
    axis = _channels(node)
    others = [each for each in range(computed.dim()) if each != axis]
    shift = (wanted - computed).mean(others)
    goal = activation(wanted)
    shifted = computed + along(shift, axis, computed.dim())
    before, after = (
        (settled(activation(value)) - goal).square().sum(others) for value in (computed, shifted)
    )
    return torch.where(after < before, shift, 0.0)


def _rounded(
    rough: Rounded,
    axis: int,
    node: fx.Node,
    wanted: Tensor,
    activation: Callable[[Tensor], Tensor],
    steps: Steps,
) -> dict[str, Tensor]:
    """The layer's weight by name, and the walk goes on with it."""
    (inputs, _, *rest), kwargs = rough.fetch_args_kwargs_from_env(node)

    def compute(weight: Tensor, inputs: Tensor) -> Tensor:
        result: Tensor = getattr(rough, node.op)(node.target, (inputs, weight, *rest), kwargs)
        return activation(result)

    layer = Layer(rough.tensor(operand(node, 1)), rough.scales[node], axis, compute)
    weight = learned(layer, inputs, activation(wanted), steps=steps.rounding_steps, seed=steps.seed)
    if weight is None:
        return {}
    rough.weights[node] = weight
    return {str(operand(node, 1).target): weight}


def _activation(tail: fx.Node, node: fx.Node, walk: Walk) -> Callable[[Tensor], Tensor]:
    """The function that the runtime computes along with a layer, if any."""
    if tail is node:
        return lambda value: value
    args: tuple[Any, ...] = fx.node.map_arg(tail.args[1:], walk.env.__getitem__)
    kwargs = dict(tail.kwargs)
    return lambda value: getattr(walk, tail.op)(tail.target, (value, *args), kwargs)
