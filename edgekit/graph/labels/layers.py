"""Convolutions and linear layers: they consume the channels that arrive and make new ones."""

from __future__ import annotations

import torch
from torch import Tensor, fx

from edgekit.graph.labels.contraction import multiply
from edgekit.graph.labels.value import Plane, Value, vector
from edgekit.graph.labels.walk import MisfitError, Rule, Walk
from edgekit.graph.trace import Shape, arguments, layer_of, parameter_of, shape_of


def convolution(walk: Walk, node: fx.Node) -> Value:
    """(N, C, …) → (N, C', …); weight (C', C / groups, …). Depthwise: a channel stays itself, `multiplier` times."""
    call = arguments(node)
    value, weight, groups = walk.value(call["input"]), call["weight"], call["groups"]
    outputs, per_group = shape_of(weight)[:2]
    _keep_kernel(walk, node, weight)
    arriving, passing = _arriving(walk, node, value)
    if groups > 1 and groups == per_group * groups and arriving is not None:
        leaving: Tensor | None = _repeated(walk, node, arriving, outputs // groups)
        walk.resize(node, groups=len(arriving))
    else:
        walk.use(node, weight, 1, _cut(walk, node, arriving, groups), "input")
        leaving = _made(walk, node, 0, outputs)
    walk.use(node, weight, 0, leaving, "output")
    walk.use(node, call["bias"], 0, leaving)
    return _result(node, value, leaving, passing)


def transposed_convolution(walk: Walk, node: fx.Node) -> Value:
    """(N, C, …) → (N, C', …); weight (C, C' / groups, …)."""
    call = arguments(node)
    value, weight, groups = walk.value(call["input"]), call["weight"], call["groups"]
    inputs, per_group = shape_of(weight)[:2]
    _keep_kernel(walk, node, weight)
    arriving, passing = _arriving(walk, node, value)
    if groups > 1 and groups == inputs and arriving is not None:
        walk.use(node, weight, 0, arriving, "input")
        leaving: Tensor | None = _repeated(walk, node, arriving, per_group)
        walk.resize(node, groups=len(arriving))
    else:
        cut = _cut(walk, node, arriving, groups)
        walk.use(node, weight, 0, None if cut is None else cut.flatten(), "input")
        leaving = _made(walk, node, 1, per_group * groups)
        walk.use(node, weight, 1, None if leaving is None else leaving.reshape(groups, -1), "output")
    walk.use(node, call["bias"], 0, leaving)
    return _result(node, value, leaving, passing)


def linear(walk: Walk, node: fx.Node) -> Value:
    """(…, C) → (…, C'); weight (C', C). Other axes with channels (an MLP-Mixer's) keep them."""
    call = arguments(node)
    value, weight = walk.value(call["input"]), call["weight"]
    if parameter_of(weight) is None:
        return _computed_linear(walk, node)
    last = value.rank - 1
    walk.use(node, weight, 1, walk.along(value, last, node), "input")
    leaving = walk.fresh(weight, 0, shape_of(weight)[0])
    walk.use(node, weight, 0, leaving, "output")
    walk.use(node, call["bias"], 0, leaving)
    passing = tuple(walk.level(plane, last, node) for plane in value.planes if plane.axis != last)
    size = shape_of(weight)[0] if leaving is None else len(leaving)
    made = () if leaving is None else (vector(leaving, last, value.rank),)
    return Value((*value.shape[:-1], size), (*passing, *made))


def _computed_linear(walk: Walk, node: fx.Node) -> Value:
    call = arguments(node)
    value = walk.value(call["input"])
    rows = "abcdefgh"[: value.rank - 1]
    found = multiply(walk, node, [(value, f"{rows}y"), (walk.value(call["weight"]), "zy")], f"{rows}z")
    for plane in found.at(value.rank - 1):
        walk.use(node, call["bias"], 0, plane.tokens.flatten())
    return found


def _keep_kernel(walk: Walk, node: fx.Node, weight: fx.Node) -> None:
    """The rows and columns of a kernel that a network computes must stay; those of a parameter have no labels."""
    if parameter_of(weight) is None:
        for plane in walk.value(weight).planes:
            if plane.axis >= 2:
                walk.freeze(plane.tokens, f"size of the kernel of {layer_of(node)}")


def _arriving(walk: Walk, node: fx.Node, value: Value) -> tuple[Tensor | None, list[Plane]]:
    """The tokens (channels,) that a convolution reads, and the planes of other axes that a 1×1 kernel keeps."""
    call = arguments(node)
    kernel = shape_of(call["weight"])[2:]
    channel = value.rank - len(kernel) - 1
    passing = []
    for plane in value.planes:
        if plane.axis == channel:
            continue
        if set(kernel) == {1} and set(call["stride"]) == {1} and not any(call["padding"]):
            passing.append(walk.level(plane, channel, node))
        else:
            walk.freeze(plane.tokens, f"{layer_of(node)} mixes what lies along axis {plane.axis}")
    return walk.along(value, channel, node), passing


def _cut(walk: Walk, node: fx.Node, tokens: Tensor | None, groups: int) -> Tensor | None:
    """(channels,) → (groups, channels / groups): each group reads as many channels as any other."""
    if tokens is None or groups == 1:
        return tokens
    if len(tokens) % groups:
        raise MisfitError(f"{layer_of(node)} cannot cut {len(tokens)} channels into {groups} groups")
    return walk.step(tokens.reshape(groups, -1), torch.arange(groups)[:, None], 1, node)


def _made(walk: Walk, node: fx.Node, axis: int, count: int) -> Tensor | None:
    """The new channels of a weight, each in the cell of its group."""
    call = arguments(node)
    if parameter_of(call["weight"]) is not None:
        made = walk.fresh(call["weight"], axis, count)
    else:
        made = walk.along(walk.value(call["weight"]), axis, node)
    cut = _cut(walk, node, made, call["groups"])
    return None if cut is None else cut.flatten()


def _repeated(walk: Walk, node: fx.Node, tokens: Tensor, times: int) -> Tensor:
    if times == 1:
        return tokens
    return walk.step(tokens[:, None].expand(-1, times), torch.arange(times), 0, node).flatten()


def _result(node: fx.Node, value: Value, leaving: Tensor | None, passing: list[Plane]) -> Value:
    shape: Shape = shape_of(node)
    channel = value.rank - len(shape_of(arguments(node)["weight"])) + 1
    sizes = list(shape)
    if leaving is not None:
        sizes[channel] = len(leaving)
    for plane in passing:
        sizes[plane.axis] = value.shape[plane.axis]
    made = () if leaving is None else (vector(leaving, channel, value.rank),)
    return Value(tuple(sizes), (*passing, *made))


RULES: dict[str, Rule] = {
    "conv1d": convolution,
    "conv2d": convolution,
    "conv3d": convolution,
    "conv_transpose1d": transposed_convolution,
    "conv_transpose2d": transposed_convolution,
    "conv_transpose3d": transposed_convolution,
    "linear": linear,
}
