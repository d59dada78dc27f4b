"""Operators that give each entry several times, or put several into one: repeats, shuffled pixels, patches."""

from __future__ import annotations

import math

import torch
from torch import Tensor, fx

from edgekit.graph.labels.elementwise import MEETINGS
from edgekit.graph.labels.value import Plane, Value, vector
from edgekit.graph.labels.walk import MisfitError, Result, Rule, Walk
from edgekit.graph.trace import Shape, arguments, layer_of, operator_name, shape_of


def _expand(walk: Walk, node: fx.Node) -> Result:
    """A size that is only there to meet another tensor of that size is left to broadcasting."""
    value, old, wanted = walk.value(node.args[0]), shape_of(node.all_input_nodes[0]), shape_of(node)
    more = len(wanted) - len(old)
    if _only_meets(node, wanted) and not more:
        walk.resize(node, size=[-1] * value.rank)
        return value
    shape, planes = list(wanted), []
    for axis in range(value.rank):
        if old[axis] == wanted[axis + more]:
            shape[axis + more] = value.shape[axis]
    for plane in value.planes:
        if old[plane.axis] != wanted[plane.axis + more]:
            walk.freeze(plane.tokens, f"{layer_of(node)} repeats a channel")
        else:
            planes.append(Plane(plane.tokens[(None,) * more], plane.axis + more))
    if "size" in arguments(node):
        walk.resize(node, size=shape)
    return Value(tuple(shape), tuple(planes))


def _only_meets(node: fx.Node, wanted: Shape) -> bool:
    """Whether all that reads a node also reads a tensor of the full size, entry by entry."""
    return "size" in arguments(node) and all(
        operator_name(user) in MEETINGS
        and any(other is not node and shape_of(other) == wanted for other in user.all_input_nodes)
        for user in node.users
    )


def _expand_as(walk: Walk, node: fx.Node) -> Result:
    """Like `expand`; where channels come out of nothing they are those of the other tensor."""
    value, other = walk.value(node.args[0]), walk.value(node.args[1])
    more = other.rank - value.rank
    planes = []
    for plane in value.planes:
        if value.shape[plane.axis] == other.shape[plane.axis + more]:
            planes.append(Plane(plane.tokens[(None,) * more], plane.axis + more))
        else:
            walk.freeze(plane.tokens, f"{layer_of(node)} repeats a channel")
    own = {plane.axis for plane in planes}
    shared = (plane for plane in other.planes if plane.axis not in own and _one(value, plane.axis - more))
    return Value(other.shape, (*planes, *shared))


def _one(value: Value, axis: int) -> bool:
    return axis < 0 or value.shape[axis] == 1


def _repeat(walk: Walk, node: fx.Node) -> Result:
    """The whole tensor again and again: a channel behind itself, in another cell."""
    value, repeats = walk.value(node.args[0]), arguments(node)["repeats"]
    more = len(repeats) - value.rank
    shape = [size * times for size, times in zip((1,) * more + value.shape, repeats, strict=True)]
    planes = []
    for plane in value.planes:
        axis, tokens = plane.axis + more, plane.tokens[(None,) * more]
        for place, times in enumerate(repeats):
            if times == 1 or (place != axis and tokens.shape[place] == 1):
                continue
            tokens = torch.cat(
                [
                    _copy(walk, node, Plane(tokens, axis), number, in_cell=place == axis)
                    for number in range(times)
                ],
                place,
            )
        planes.append(Plane(tokens, axis))
    return Value(tuple(shape), tuple(planes))


def _copy(walk: Walk, node: fx.Node, plane: Plane, number: int, *, in_cell: bool) -> Tensor:
    return walk.step(plane.tokens, torch.tensor(number), plane.axis, node) if in_cell else plane.tokens


def _channels(walk: Walk, node: fx.Node, axis: int) -> Tensor | None:
    """The tokens along an axis; all other axes with channels are frozen."""
    value = walk.value(node.args[0])
    for plane in value.planes:
        if plane.axis != axis:
            walk.freeze(plane.tokens, f"{layer_of(node)} mixes what lies along axis {plane.axis}")
    return walk.along(value, axis, node)


def _made(node: fx.Node, tokens: Tensor | None, axis: int) -> Value:
    shape = shape_of(node)
    if tokens is None:
        return Value(shape)
    return Value((*shape[:axis], len(tokens), *shape[axis + 1 :]), (vector(tokens, axis, len(shape)),))


def _many(walk: Walk, node: fx.Node, tokens: Tensor | None, times: int) -> Tensor | None:
    """(channels,) → (channels · times,): each channel `times` times in turn."""
    if tokens is None:
        return None
    return walk.step(tokens[:, None].expand(-1, times), torch.arange(times), 0, node).flatten()


def _few(walk: Walk, node: fx.Node, tokens: Tensor | None, times: int) -> Tensor | None:
    """(channels · times,) → (channels,): each `times` in turn live or die together."""
    if tokens is None:
        return None
    if len(tokens) % times:
        raise MisfitError(f"{layer_of(node)} cannot put {times} of {len(tokens)} channels together")
    cells = walk.step(tokens.reshape(-1, times), torch.arange(times), 0, node)
    walk.unite(cells[:, :1], cells, node)
    return cells[:, 0]


def _pixel_shuffle(walk: Walk, node: fx.Node) -> Result:
    """(N, C·r², H, W) → (N, C, H·r, W·r)."""
    axis = walk.value(node.args[0]).rank - 3
    times = arguments(node)["upscale_factor"] ** 2
    return _made(node, _few(walk, node, _channels(walk, node, axis), times), axis)


def _pixel_unshuffle(walk: Walk, node: fx.Node) -> Result:
    """(N, C, H·r, W·r) → (N, C·r², H, W)."""
    axis = walk.value(node.args[0]).rank - 3
    times = arguments(node)["downscale_factor"] ** 2
    return _made(node, _many(walk, node, _channels(walk, node, axis), times), axis)


def _im2col(walk: Walk, node: fx.Node) -> Result:
    """(N, C, H, W) → (N, C·k², L)."""
    axis = walk.value(node.args[0]).rank - 3
    times = math.prod(arguments(node)["kernel_size"])
    return _made(node, _many(walk, node, _channels(walk, node, axis), times), axis)


def _col2im(walk: Walk, node: fx.Node) -> Result:
    """(N, C·k², L) → (N, C, H, W)."""
    times = math.prod(arguments(node)["kernel_size"])
    return _made(node, _few(walk, node, _channels(walk, node, 1), times), 1)


def _channel_shuffle(walk: Walk, node: fx.Node) -> Result:
    """(groups, C / groups) seen as its transpose."""
    value, groups = walk.value(node.args[0]), arguments(node)["groups"]
    tokens = _channels(walk, node, 1)
    if tokens is None:
        return Value(value.shape)
    if len(tokens) % groups:
        raise MisfitError(f"{layer_of(node)} cannot cut {len(tokens)} channels into {groups} groups")
    cells = walk.step(tokens.reshape(groups, -1), torch.arange(groups)[:, None], 1, node)
    return _made(node, cells.t().flatten(), 1)


def _glu(walk: Walk, node: fx.Node) -> Result:
    """The first half of an axis times the sigmoid of the second."""
    value = walk.value(node.args[0])
    axis = arguments(node)["dim"] % value.rank
    tokens = walk.along(value, axis, node)
    shape = (*value.shape[:axis], value.shape[axis] // 2, *value.shape[axis + 1 :])
    others = tuple(walk.level(plane, axis, node) for plane in value.planes if plane.axis != axis)
    if tokens is None:
        return Value(shape, others)
    if len(tokens) % 2:
        raise MisfitError(f"{layer_of(node)} cannot halve {len(tokens)} channels")
    cells = walk.step(tokens.reshape(2, -1), torch.arange(2)[:, None], 1, node)
    walk.unite(cells[:1], cells, node)
    return Value(shape, (*others, vector(cells[0], axis, value.rank)))


RULES: dict[str, Rule] = {
    "expand": _expand,
    "expand_as": _expand_as,
    "repeat": _repeat,
    "pixel_shuffle": _pixel_shuffle,
    "pixel_unshuffle": _pixel_unshuffle,
    "im2col": _im2col,
    "col2im": _col2im,
    "channel_shuffle": _channel_shuffle,
    "native_channel_shuffle": _channel_shuffle,
    "glu": _glu,
}
