"""Views: axes are split and merged, with their baked-in sizes derived anew where channels have left."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from edgekit.graph.labels.value import Plane, Value, compact, uniform
from edgekit.graph.labels.walk import MisfitError, Result, Rule, Walk
from edgekit.graph.trace import Shape, arguments, layer_of, shape_of


@dataclass(frozen=True)
class Regrouping:
    """The smallest runs of axes that a view maps onto each other: `sources` becomes `targets`."""

    sources: range
    targets: range


def regroup(before: Shape, after: Shape) -> list[Regrouping]:
    """Split a view into independent parts, from the sizes of its axes."""
    groups = []
    i = j = 0
    while i < len(before) or j < len(after):
        start, other = i, j
        left = before[i] if i < len(before) else 1
        right = after[j] if j < len(after) else 1
        i, j = min(i + 1, len(before)), min(j + 1, len(after))
        while left != right:
            if left < right:
                left, i = left * before[i], i + 1
            else:
                right, j = right * after[j], j + 1
        if i == len(before):  # axes of size 1 at the end belong to what precedes them
            j = len(after) if all(size == 1 for size in after[j:]) else j
        if j == len(after):
            i = len(before) if all(size == 1 for size in before[i:]) else i
        groups.append(Regrouping(range(start, i), range(other, j)))
    return groups


def reshape(walk: Walk, node: fx.Node) -> Result:
    """Any view: `view`, `reshape`, `flatten`, `unflatten`.

    Of the axes that a channel axis is split into, one shrinks with the channels and the others (a number of
    groups, of heads, of windows) stay.
    """
    value = walk.value(node.args[0])
    before, after = shape_of(node.all_input_nodes[0]), shape_of(node)
    if math.prod(before) == 0 or len(before) != value.rank:
        return walk.stop(node, f"the empty view at {layer_of(node)} is not understood")
    groups = regroup(before, after)
    axes = [_shrinking(walk, node, plane, place, groups) for place, plane in enumerate(value.planes)]
    shape = _sizes(walk, node, value, axes)
    planes = []
    for plane, axis in zip(value.planes, axes, strict=True):
        tokens = _viewed(plane, axis, value.shape, shape, groups)
        planes.append(Plane(_in_cells(walk, node, tokens, axis, groups), axis))
    if shape != after:
        _resize(walk, node, shape)
    return Value(shape, tuple(planes))


def _shrinking(walk: Walk, node: fx.Node, plane: Plane, place: int, groups: list[Regrouping]) -> int:
    """The axis, after the view, that shrinks with a plane's channels; the walk over the whole network decides."""
    group = next(group for group in groups if plane.axis in group.sources)
    if len(group.targets) == 1:
        return group.targets[0]
    key = (node.name, place, group.sources.start)
    if key not in walk.book.scaled:
        before, after = shape_of(node.all_input_nodes[0]), shape_of(node)
        tokens = _viewed(plane, None, before, after, groups)
        varied = [axis for axis in group.targets if uniform(tokens, axis).shape[axis] > 1]
        # The number of groups or heads is what a network fixes, and it is mostly the smaller one.
        walk.book.scaled[key] = max(varied or group.targets, key=lambda axis: (after[axis], axis))
    return walk.book.scaled[key]


def _sizes(walk: Walk, node: fx.Node, value: Value, axes: Sequence[int]) -> Shape:
    """The view's shape, each shrinking axis in the ratio of the channels that are left."""
    after = shape_of(node)
    sizes = list(after)
    for place, axis in enumerate(axes):
        left, whole = _counts(walk, node, value, place)
        if sizes[axis] * left % whole:
            raise MisfitError(f"{layer_of(node)} cannot view {left} channels as {after}")
        sizes[axis] = sizes[axis] * left // whole
    if math.prod(sizes) != math.prod(value.shape):
        raise MisfitError(f"{layer_of(node)} cannot view {value.shape} as {tuple(sizes)}")
    return tuple(sizes)


def _counts(walk: Walk, node: fx.Node, value: Value, place: int) -> tuple[int, int]:
    """How many channels of a plane there are, and were; those of axes that were merged are counted apart."""
    plane, source = value.planes[place], node.all_input_nodes[0]
    before = None if walk.before is None else walk.before.values[source]
    if len(value.at(plane.axis)) == 1 or not isinstance(before, Value):
        return value.shape[plane.axis], shape_of(source)[plane.axis]
    return len(torch.unique(plane.tokens)), len(torch.unique(before.planes[place].tokens))


def _viewed(plane: Plane, own: int | None, before: Shape, after: Shape, groups: list[Regrouping]) -> Tensor:
    """The tokens after the view, where `own` is the channel axis.

    Other axes that they do not vary along stay of size 1, so that little is held.
    """
    wide, target = [1] * len(before), [1] * len(after)
    for group in groups:
        if plane.axis in group.sources or any(plane.varies(axis) for axis in group.sources):
            for axis in group.sources:
                wide[axis] = before[axis]
            for axis in group.targets:
                target[axis] = after[axis]
    return compact(plane.tokens.expand(wide).reshape(target), own)


def _in_cells(walk: Walk, node: fx.Node, tokens: Tensor, axis: int, groups: list[Regrouping]) -> Tensor:
    """Where a split puts channels into rows that stay, the row is part of a channel's path."""
    group = next(group for group in groups if axis in group.targets)
    rows = [other for other in group.targets if other != axis and tokens.shape[other] > 1]
    rows = [other for other in rows if uniform(tokens, other).shape[other] > 1]
    if not rows:
        return tokens
    cells = torch.zeros((), dtype=torch.int64)
    for other in rows:
        size = tokens.shape[other]
        place = torch.arange(size).reshape([-1 if each == other else 1 for each in range(tokens.dim())])
        cells = cells * size + place
    return walk.step(tokens, cells, axis, node)


def _resize(walk: Walk, node: fx.Node, shape: Shape) -> None:
    call = arguments(node)
    if "sizes" in call:  # unflatten names the parts of one axis
        first = call["dim"] % len(shape_of(node.all_input_nodes[0]))
        walk.resize(node, sizes=list(shape[first : first + len(call["sizes"])]))
    elif "size" in call or "shape" in call:
        walk.resize(node, **{"size" if "size" in call else "shape": list(shape)})


RULES: dict[str, Rule] = dict.fromkeys(
    ("view", "reshape", "_unsafe_view", "flatten", "unflatten", "view_as", "reshape_as"), reshape
)
