"""Tensors put beside each other: their channels follow each other, or meet where the joint runs across them."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor, fx

from edgekit.graph.labels.elementwise import meet
from edgekit.graph.labels.movement import inserted
from edgekit.graph.labels.value import Plane, Value
from edgekit.graph.labels.walk import Result, Rule, Walk
from edgekit.graph.trace import arguments, layer_of


def _cat(walk: Walk, node: fx.Node) -> Result:
    """Along the channels: one after the other. Along another axis: the same channels everywhere."""
    call = arguments(node)
    parts = _present(walk, node, call["tensors"])
    parts = [part for part in parts if part.shape != (0,)]
    if len(parts) == 1:
        return parts[0]
    return _joined(walk, node, parts, call["dim"] % parts[0].rank)


def _stack(walk: Walk, node: fx.Node) -> Result:
    call = arguments(node)
    parts = _present(walk, node, call["tensors"])
    axis = call["dim"] % (parts[0].rank + 1)
    return _joined(walk, node, [inserted(part, axis) for part in parts], axis)


def _present(walk: Walk, node: fx.Node, tensors: Sequence[fx.Node]) -> list[Value]:
    """The parts that there are: with fewer channels a chunk may have none."""
    there = [tensor for tensor in tensors if walk.values.get(tensor, tensor) is not None]
    if len(there) < len(tensors):
        walk.resize(node, tensors=there)
    return [walk.value(tensor) for tensor in there]


def _joined(walk: Walk, node: fx.Node, parts: Sequence[Value], axis: int) -> Value:
    across = meet(walk, node, [_one_of(walk, node, part, axis) for part in parts])
    shape = list(across.shape)
    shape[axis] = sum(part.shape[axis] for part in parts)
    planes = [plane for plane in across.planes if plane.axis != axis]
    if any(len(part.at(axis)) > 1 for part in parts):
        for part in parts:
            for plane in part.at(axis):
                walk.freeze(plane.tokens, f"two kinds of channels meet at {layer_of(node)}")
    elif any(part.at(axis) for part in parts):
        planes.append(Plane(_beside([_tokens(part, axis) for part in parts], axis), axis))
    return Value(tuple(shape), tuple(planes))


def _one_of(walk: Walk, node: fx.Node, part: Value, axis: int) -> Value:
    """The part without the axis that parts follow each other along."""
    planes = tuple(walk.level(plane, axis, node) for plane in part.planes if plane.axis != axis)
    return Value((*part.shape[:axis], 1, *part.shape[axis + 1 :]), planes)


def _tokens(part: Value, axis: int) -> Tensor:
    planes = part.at(axis)
    if planes:
        return planes[0].tokens
    return torch.zeros(
        [part.shape[axis] if place == axis else 1 for place in range(part.rank)], dtype=torch.int64
    )


def _beside(tokens: list[Tensor], axis: int) -> Tensor:
    """The tokens one after the other along `axis`, broadcast along what any of them varies along."""
    shape = list(np.broadcast_shapes(*(each.narrow(axis, 0, 1).shape for each in tokens)))
    wide = []
    for each in tokens:
        shape[axis] = each.shape[axis]
        wide.append(each.expand(shape))
    return torch.cat(wide, axis)


RULES: dict[str, Rule] = {"cat": _cat, "concat": _cat, "concatenate": _cat, "stack": _stack}
