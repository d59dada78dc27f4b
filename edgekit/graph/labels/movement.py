"""Operators that move entries and cut nothing: tokens move exactly as the entries do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.graph.labels.value import Plane, Value
from edgekit.graph.labels.walk import MisfitError, Result, Rule, Walk
from edgekit.graph.trace import arguments, layer_of, parameter_of, shape_of


def reordered(value: Value, order: Sequence[int]) -> Value:
    """The value with its axes in another order."""
    return Value(
        tuple(value.shape[axis] for axis in order),
        tuple(Plane(plane.tokens.permute(*order), list(order).index(plane.axis)) for plane in value.planes),
    )


def _permute(walk: Walk, node: fx.Node) -> Result:
    value = walk.value(node.args[0])
    return reordered(value, [axis % value.rank for axis in arguments(node)["dims"]])


def _transpose(walk: Walk, node: fx.Node) -> Result:
    value, call = walk.value(node.args[0]), arguments(node)
    order = list(range(value.rank))
    one, two = call.get("dim0", 0) % value.rank, call.get("dim1", 1) % value.rank
    order[one], order[two] = order[two], order[one]
    return reordered(value, order)


def _matrix_transpose(walk: Walk, node: fx.Node) -> Result:
    value = walk.value(node.args[0])
    return reordered(value, (*range(value.rank - 2), *reversed(range(max(0, value.rank - 2), value.rank))))


def _movedim(walk: Walk, node: fx.Node) -> Result:
    value, call = walk.value(node.args[0]), arguments(node)
    pairs = [
        ([axis] if isinstance(axis, int) else list(axis)) for axis in (call["source"], call["destination"])
    ]
    source, target = ([axis % value.rank for axis in axes] for axes in pairs)
    order = [axis for axis in range(value.rank) if axis not in source]
    for axis, place in sorted(zip(source, target, strict=True), key=lambda pair: pair[1]):
        order.insert(place, axis)
    return reordered(value, order)


def _unsqueeze(walk: Walk, node: fx.Node) -> Result:
    value = walk.value(node.args[0])
    axis = arguments(node)["dim"] % (value.rank + 1)
    return inserted(value, axis)


def inserted(value: Value, axis: int) -> Value:
    """The value with a new axis of size 1."""
    return Value(
        (*value.shape[:axis], 1, *value.shape[axis:]),
        tuple(Plane(p.tokens.unsqueeze(axis), p.axis + (p.axis >= axis)) for p in value.planes),
    )


def removed(value: Value, axis: int) -> Value:
    """The value without an axis of size 1."""
    return Value(
        value.shape[:axis] + value.shape[axis + 1 :],
        tuple(Plane(p.tokens.squeeze(axis), p.axis - (p.axis > axis)) for p in value.planes),
    )


def _squeeze(walk: Walk, node: fx.Node) -> Result:
    value, old = walk.value(node.args[0]), shape_of(node.all_input_nodes[0])
    axes = arguments(node).get("dim")
    axes = range(value.rank) if axes is None else [axes] if isinstance(axes, int) else axes
    for axis in sorted({axis % len(old) for axis in axes}, reverse=True):
        if old[axis] == 1:
            value = removed(value, axis)
    return value


def _turned(walk: Walk, node: fx.Node) -> Result:
    """`roll` and `flip`: along the channel axis too, where places change but no channel is lost."""
    value, call = walk.value(node.args[0]), arguments(node)
    axes = [axis % value.rank for axis in call["dims"]]
    if "shifts" in call and len(axes) != len(call["shifts"]):
        return walk.stop(node, f"rolling all axes at once at {layer_of(node)} is not understood")

    def turn(tokens: Tensor) -> Tensor:
        return tokens.roll(call["shifts"], axes) if "shifts" in call else tokens.flip(axes)

    return Value(value.shape, tuple(Plane(turn(plane.tokens), plane.axis) for plane in value.planes))


def _pad(walk: Walk, node: fx.Node) -> Result:
    """Padding adds entries that carry no channel; the other modes repeat channels, which freezes them."""
    value, call = walk.value(node.args[0]), arguments(node)
    widths = list(zip(call["pad"][::2], call["pad"][1::2], strict=True))
    shape, constant = list(value.shape), call.get("mode", "constant") == "constant"
    planes = list(value.planes)
    for place, (before, after) in enumerate(widths):
        axis = value.rank - 1 - place
        shape[axis] += before + after
        if not (before or after):
            continue
        for plane in [
            plane for plane in planes if plane.axis == axis and not (constant and min(before, after) >= 0)
        ]:
            walk.freeze(plane.tokens, f"padding at {layer_of(node)} repeats or cuts channels")
            planes.remove(plane)
        planes = [
            _padded(plane, before, after) if plane.axis == axis else walk.level(plane, axis, node)
            for plane in planes
        ]
    return Value(tuple(shape), tuple(planes))


def _padded(plane: Plane, before: int, after: int) -> Plane:
    axis = plane.axis
    shape = list(plane.tokens.shape)
    ends = []
    for size in (before, after):
        shape[axis] = size
        ends.append(torch.zeros(shape, dtype=torch.int64))
    return Plane(torch.cat((ends[0], plane.tokens, ends[1]), axis), axis)


def _index_select(walk: Walk, node: fx.Node) -> Result:
    call = arguments(node)
    return _selected(walk, node, call["dim"], call["index"])


def _index(walk: Walk, node: fx.Node) -> Result:
    """`x[:, places]` with constant places along one axis."""
    indices = arguments(node)["indices"]
    named = [(axis, index) for axis, index in enumerate(indices) if index is not None]
    if len(named) != 1:
        return walk.stop(node, f"{node.name} at {layer_of(node)} is not understood")
    return _selected(walk, node, *named[0])


def _selected(walk: Walk, node: fx.Node, axis: int, index: Any) -> Result:
    value, places = walk.value(node.args[0]), _constant(index)
    if places is None or places.dtype != torch.int64:
        return walk.stop(node, f"{node.name} at {layer_of(node)} picks by computed places")
    axis %= value.rank
    if value.at(axis):
        old = shape_of(node.all_input_nodes[0])[axis]
        if torch.equal(places.flatten().sort().values, torch.arange(old)):
            return _picked(value, axis, _order(walk, str(parameter_of(index)), places, value.shape[axis]))
        for plane in value.at(axis):
            walk.freeze(plane.tokens, f"{layer_of(node)} picks some of these channels by their place")
    return _picked(value.without(value.at(axis)), axis, places)


def _order(walk: Walk, name: str, places: Tensor, size: int) -> Tensor:
    """A constant order of all channels; with fewer of them any will do, since consumers are gathered anew."""
    if size == places.numel():
        return places
    order = torch.arange(size)
    if not torch.equal(walk.constants.setdefault(name, order), order):
        raise MisfitError(f"{name} orders {len(walk.constants[name])} and {size} channels")
    return order


def _picked(value: Value, axis: int, places: Tensor) -> Value:
    planes = []
    for plane in value.planes:
        varied = plane.tokens.index_select(axis, places.flatten()) if plane.varies(axis) else plane.tokens
        shape = tuple(places.shape) if plane.varies(axis) else (1,) * places.dim()
        tokens = varied.reshape(*varied.shape[:axis], *shape, *varied.shape[axis + 1 :])
        planes.append(Plane(tokens, plane.axis + (places.dim() - 1) * (plane.axis > axis)))
    return Value((*value.shape[:axis], *places.shape, *value.shape[axis + 1 :]), tuple(planes))


def _constant(node: Any) -> Tensor | None:
    """The buffer that a node reads."""
    name = parameter_of(node)
    if name is None:
        return None
    owner, _, leaf = name.rpartition(".")
    found = getattr(node.graph.owning_module.get_submodule(owner), leaf)
    return found if isinstance(found, Tensor) else None


RULES: dict[str, Rule] = {
    "permute": _permute,
    "transpose": _transpose,
    "swapaxes": _transpose,
    "t": _transpose,
    "numpy_T": _matrix_transpose,
    "mT": _matrix_transpose,
    "movedim": _movedim,
    "unsqueeze": _unsqueeze,
    "squeeze": _squeeze,
    "roll": _turned,
    "flip": _turned,
    "pad": _pad,
    "constant_pad_nd": _pad,
    "index_select": _index_select,
    "index": _index,
}
