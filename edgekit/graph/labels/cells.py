"""Operators that cut an axis into pieces: what happens to a channel behind them depends on its place."""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import fx

from edgekit.graph.labels.movement import removed
from edgekit.graph.labels.value import Plane, Value, label
from edgekit.graph.labels.walk import MisfitError, Result, Rule, Walk
from edgekit.graph.trace import arguments, layer_of, shape_of

Piece = tuple[int, int, int]
"""Start, end (exclusive) and step along an axis."""


def _pieces(walk: Walk, node: fx.Node, axis: int, pieces: list[Piece], *, whole: bool) -> list[Value]:
    """The pieces of a value; a channel that lies in one has it on its path, unless it is the whole."""
    value = walk.value(node.args[0])
    found = []
    for cell, (start, end, step) in enumerate(pieces):
        planes = []
        for plane in value.planes:
            tokens = plane.tokens
            if plane.varies(axis) or plane.axis == axis:
                tokens = tokens[(slice(None),) * axis + (slice(start, end, step),)]
            if plane.axis == axis and _is_single(node, cell, axis):
                walk.freeze(tokens, f"{layer_of(node)} takes one of these channels by its place")
                continue
            if plane.axis == axis and not whole:
                tokens = walk.step(tokens, torch.tensor(cell), axis, node)
            planes.append(Plane(tokens, plane.axis))
        size = len(range(start, end, step))
        if size == 0:
            raise MisfitError(f"nothing is left of a piece at {layer_of(node)}")
        found.append(Value((*value.shape[:axis], size, *value.shape[axis + 1 :]), tuple(planes)))
    if value.at(axis) and not whole:
        walk.cut.append(torch.unique(label(torch.cat([plane.tokens.flatten() for plane in value.at(axis)]))))
    return found


def _is_single(node: fx.Node, cell: int, axis: int) -> bool:
    """Whether a piece of the whole network is a single entry of several: all channels elsewhere may read it."""
    found = node.meta["val"]
    piece = found[cell] if isinstance(found, tuple | list) else found
    return int(piece.shape[axis]) == 1 and shape_of(node.all_input_nodes[0])[axis] > 1


def _cut(walk: Walk, node: fx.Node, axis: int, sizes: list[int]) -> Result:
    ends = torch.tensor(sizes).cumsum(0).tolist()
    old = node.meta["val"]
    if len(sizes) > len(old):
        raise MisfitError(f"{layer_of(node)} cuts into {len(sizes)} pieces where there were {len(old)}")
    pieces = [(end - size, end, 1) for size, end in zip(sizes, ends, strict=True)]
    return list(_pieces(walk, node, axis, pieces, whole=len(old) == 1))


def _chunk(walk: Walk, node: fx.Node) -> Result:
    """As many pieces as asked for, or fewer: all of one size but the last."""
    call = arguments(node)
    value = walk.value(node.args[0])
    axis = call["dim"] % value.rank
    size = -(-value.shape[axis] // call["chunks"])
    return _cut(walk, node, axis, _even(value.shape[axis], size))


def _even(total: int, size: int) -> list[int]:
    return [min(size, total - start) for start in range(0, total, size)]


def _split(walk: Walk, node: fx.Node) -> Result:
    """Pieces of named sizes: in the ratio of the channels that are left."""
    call = arguments(node)
    value, old = walk.value(node.args[0]), shape_of(node.all_input_nodes[0])
    axis = call["dim"] % value.rank
    name = next(name for name in ("split_sizes", "split_size") if name in call)
    given = call[name]
    scaled = [_in_ratio(size, value.shape[axis], old[axis], node) for size in _listed(given)]
    if value.shape[axis] != old[axis]:
        walk.resize(node, **{name: scaled[0] if isinstance(given, int) else scaled})
    return _cut(walk, node, axis, _even(value.shape[axis], scaled[0]) if isinstance(given, int) else scaled)


def _listed(sizes: Any) -> list[int]:
    return [sizes] if isinstance(sizes, int) else list(sizes)


def _in_ratio(place: int, size: int, old: int, node: fx.Node) -> int:
    if place * size % old:
        raise MisfitError(f"{layer_of(node)} cannot cut {size} channels where {old} were cut at {place}")
    return place * size // old


def _slice(walk: Walk, node: fx.Node) -> Result:
    """`x[:, start:end:step]`: in the ratio of the channels that are left, or as it is written where that fits."""
    call = arguments(node)
    value, old = walk.value(node.args[0]), shape_of(node.all_input_nodes[0])
    axis, step = call["dim"] % value.rank, call["step"]
    start, end, _ = slice(call["start"], call["end"]).indices(old[axis])
    size, whole = value.shape[axis], (start, end, step) == (0, old[axis], 1)
    if size != old[axis]:
        if step == 1:
            start, end = _ends(start, end, size, old[axis], node)
        elif end == old[axis]:
            end = size
        else:
            raise MisfitError(f"{layer_of(node)} takes some of every {step} channels")
        walk.resize(node, start=start, end=end)
    return _pieces(walk, node, axis, [(start, end, step)], whole=whole)[0]


def _ends(start: int, end: int, size: int, old: int, node: fx.Node) -> tuple[int, int]:
    if start == 0 and end * size % old:
        return 0, min(end, size)  # a network that cuts off what is too much: there may be nothing left to cut
    return _in_ratio(start, size, old, node), _in_ratio(end, size, old, node)


def _narrow(walk: Walk, node: fx.Node) -> Result:
    call = arguments(node)
    value, old = walk.value(node.args[0]), shape_of(node.all_input_nodes[0])
    axis = call["dim"] % value.rank
    start = call["start"] % old[axis]
    end = start + call["length"]
    whole = call["length"] == old[axis]
    if value.shape[axis] != old[axis]:
        start, end = _ends(start, end, value.shape[axis], old[axis], node)
        walk.resize(node, start=start, length=end - start)
    return _pieces(walk, node, axis, [(start, end, 1)], whole=whole)[0]


def _select(walk: Walk, node: fx.Node) -> Result:
    call = arguments(node)
    value = walk.value(node.args[0])
    axis = call["dim"] % value.rank
    return _taken(walk, node, value, axis, call["index"] % value.shape[axis])


def _unbind(walk: Walk, node: fx.Node) -> Result:
    value = walk.value(node.args[0])
    axis = arguments(node)["dim"] % value.rank
    return [_taken(walk, node, value, axis, index) for index in range(value.shape[axis])]


def _taken(walk: Walk, node: fx.Node, value: Value, axis: int, index: int) -> Value:
    """One place along an axis; a channel that is taken by its place must stay, with all beside it."""
    for plane in value.at(axis):
        walk.freeze(plane.tokens, f"{layer_of(node)} picks one of these channels by its place")
    left = value.without(value.at(axis))
    planes = tuple(
        Plane(p.tokens.narrow(axis, index if p.varies(axis) else 0, 1), p.axis) for p in left.planes
    )
    return removed(Value((*value.shape[:axis], 1, *value.shape[axis + 1 :]), planes), axis)


def _getitem(walk: Walk, node: fx.Node) -> Result:
    source, index = node.args[0], node.args[1]
    values = walk.values.get(source) if isinstance(source, fx.Node) else None
    if not isinstance(values, list) or not isinstance(index, int):
        return walk.stop(node, f"{node.name} at {layer_of(node)} is not understood")
    return values[index] if index < len(values) else None


RULES: dict[str, Rule] = {
    "chunk": _chunk,
    "split": _split,
    "split_with_sizes": _split,
    "slice": _slice,
    "narrow": _narrow,
    "select": _select,
    "unbind": _unbind,
    operator.getitem.__name__: _getitem,
}
