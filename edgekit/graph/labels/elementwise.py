"""Operators that look at each entry by itself, and those where entries of two tensors meet."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.graph.labels.value import Plane, Value, label, wide
from edgekit.graph.labels.walk import MisfitError, Result, Rule, Walk
from edgekit.graph.trace import layer_of, shape_of

POINTWISE = (
    "abs",
    "alias",
    "bernoulli",
    "bitwise_not",
    "ceil",
    "celu",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clone",
    "contiguous",
    "cos",
    "detach",
    "dropout",
    "elu",
    "empty_like",
    "erf",
    "exp",
    "expm1",
    "feature_alpha_dropout",
    "feature_dropout",
    "fill",
    "floor",
    "full_like",
    "gelu",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "isnan",
    "leaky_relu",
    "lift_fresh_copy",
    "log",
    "log1p",
    "log2",
    "log_sigmoid",
    "logical_not",
    "mish",
    "neg",
    "ones_like",
    "reciprocal",
    "relu",
    "relu6",
    "round",
    "rsqrt",
    "selu",
    "sigmoid",
    "sign",
    "silu",
    "sin",
    "softplus",
    "softshrink",
    "softsign",
    "sqrt",
    "square",
    "tanh",
    "tanhshrink",
    "threshold",
    "to",
    "trunc",
    "type_as",
    "zeros_like",
    "_to_copy",
    "rrelu",
    "alpha_dropout",
    "logit",
    "native_dropout",
    "positive",
)
MEETINGS = (
    "add",
    "sub",
    "rsub",
    "mul",
    "div",
    "floor_divide",
    "fmod",
    "remainder",
    "maximum",
    "minimum",
    "pow",
    "atan2",
    "eq",
    "ne",
    "lt",
    "le",
    "gt",
    "ge",
    "logical_and",
    "logical_or",
    "where",
    "masked_fill",
    "lerp",
    "addcmul",
    "addcdiv",
    "prelu_elementwise",
    "bitwise_and",
    "bitwise_or",
    "true_divide",
)
CREATIONS = [
    "arange",
    "empty",
    "eye",
    "full",
    "linspace",
    "new_empty",
    "new_full",
    "new_ones",
    "new_zeros",
    "ones",
    "scalar_tensor",
    "zeros",
]


def meet(walk: Walk, node: fx.Node, values: Sequence[Value]) -> Value:
    """Broadcast tensors of one or more ranks: channels at the same place must live or die together.

    A tensor of size 1 along an axis is read by all channels there and binds none of them.
    """
    rank = max(value.rank for value in values)
    values = [_aligned(value, rank) for value in values]
    shape, planes = [1] * rank, []
    for axis in range(rank):
        broad = [value for value in values if wide(value, axis)]
        sizes = {value.shape[axis] for value in broad}
        if len(sizes) > 1:
            raise MisfitError(f"sizes {sorted(sizes)} meet at {layer_of(node)}")
        shape[axis] = next(iter(sizes), 1)
        planes.extend(_common(walk, node, [value.at(axis) for value in broad]))
    return Value(tuple(shape), tuple(planes))


def _aligned(value: Value, rank: int) -> Value:
    """The value with axes of size 1 in front, as broadcasting adds them."""
    more = rank - value.rank
    if not more:
        return value
    planes = (Plane(plane.tokens[(None,) * more], plane.axis + more) for plane in value.planes)
    return Value((1,) * more + value.shape, tuple(planes))


def _common(walk: Walk, node: fx.Node, sides: list[list[Plane]]) -> list[Plane]:
    counts = {len(planes) for planes in sides}
    if len(counts) == 1:
        return [_united(walk, node, planes) for planes in zip(*sides, strict=True)]
    for planes in sides:
        for plane in planes:
            walk.freeze(plane.tokens, f"meets something without channels at {layer_of(node)}")
    return []


def _united(walk: Walk, node: fx.Node, planes: Sequence[Plane]) -> Plane:
    tokens = planes[0].tokens
    for plane in planes[1:]:
        walk.unite(tokens, plane.tokens, node)
        tokens = _first(tokens, plane.tokens)
    return Plane(tokens, planes[0].axis)


def _first(left: Tensor, right: Tensor) -> Tensor:
    """The left tokens, the right ones where the left carry no channel."""
    empty = label(left) == 0
    if left.shape == right.shape and not bool(empty.any()):
        return left
    return torch.where(empty, right, left)


def tensors_of(arguments: Any) -> list[fx.Node]:
    """All nodes in an argument, in order."""
    found: list[fx.Node] = []
    fx.map_arg(arguments, found.append)
    return found


def _pointwise(walk: Walk, node: fx.Node) -> Result:
    return walk.value(node.args[0])


def _meeting(walk: Walk, node: fx.Node) -> Result:
    return meet(walk, node, [walk.value(value) for value in tensors_of((node.args, node.kwargs))])


def _prelu(walk: Walk, node: fx.Node) -> Result:
    """A slope per channel of axis 1."""
    value = walk.value(node.args[0])
    weight = node.args[1]
    if isinstance(weight, fx.Node) and weight.meta["val"].numel() > 1:
        walk.use(node, weight, 0, walk.along(value, 1, node))
    return value


def _creation(_: Walk, node: fx.Node) -> Result:
    return Value(shape_of(node))


RULES: dict[str, Rule] = {
    **dict.fromkeys(POINTWISE, _pointwise),
    **dict.fromkeys(MEETINGS, _meeting),
    **dict.fromkeys(CREATIONS, _creation),
    "prelu": _prelu,
}
