"""Sums and means: over channels they consume them, over anything else what is summed lives or dies together."""

from __future__ import annotations

from torch import fx

from edgekit.graph.labels.value import Plane, Value
from edgekit.graph.labels.walk import Result, Rule, Walk
from edgekit.graph.trace import arguments, layer_of

REDUCTIONS = ["sum", "mean", "amax", "amin", "var", "std", "prod", "linalg_vector_norm", "norm", "logsumexp"]
POOLINGS = tuple(
    f"{kind}{spatial}d"
    for spatial in (1, 2, 3)
    for kind in ("max_pool", "avg_pool", "adaptive_avg_pool", "adaptive_max_pool", "lp_pool")
)
RESIZINGS = {
    "upsample_nearest1d": 1,
    "upsample_linear1d": 1,
    "upsample_nearest2d": 2,
    "_upsample_nearest_exact2d": 2,
    "upsample_bilinear2d": 2,
    "_upsample_bilinear2d_aa": 2,
    "upsample_bicubic2d": 2,
    "_upsample_bicubic2d_aa": 2,
    "upsample_nearest3d": 3,
    "upsample_trilinear3d": 3,
    "reflection_pad2d": 2,
    "replication_pad2d": 2,
    "grid_sampler": 2,
}


def reduced_axes(node: fx.Node, rank: int) -> list[int]:
    """The axes that a reduction sums over; all of them where none are named."""
    call = arguments(node)
    axes = call.get("dim")
    axes = [axes] if isinstance(axes, int) else axes
    return [axis % rank for axis in axes] if axes else list(range(rank))


def _reduction(walk: Walk, node: fx.Node) -> Result:
    """What is summed over is gone; means and the like are taken over the channels that are kept."""
    value = walk.value(node.args[0])
    axes = reduced_axes(node, value.rank)
    keep = bool(arguments(node).get("keepdim"))
    left = [axis for axis in range(value.rank) if keep or axis not in axes]
    shape = tuple(1 if axis in axes else value.shape[axis] for axis in left)
    planes = []
    for plane in value.planes:
        if plane.axis in axes:
            continue
        for axis in axes:
            plane = walk.level(plane, axis, node)  # noqa: PLW2901
        tokens = plane.tokens.permute(*left, *(axis for axis in axes if axis not in left))
        tokens = tokens.reshape(tokens.shape[: len(left)])
        planes.append(Plane(tokens, left.index(plane.axis)))
    return Value(shape, tuple(planes))


def _largest(walk: Walk, node: fx.Node) -> Result:
    """`max` along an axis: the values, and places that carry no channel."""
    if "dim" not in arguments(node):
        return walk.stop(node, f"{node.name} at {layer_of(node)} is not understood")
    values = _reduction(walk, node)
    return [values, Value(values.shape)] if isinstance(values, Value) else values


def _spatial(axes: int) -> Rule:
    def keep_channels(walk: Walk, node: fx.Node) -> Result:
        """(N, C, …) → (N, C, …): each channel by itself, its last `axes` axes resized."""
        value, found = walk.value(node.args[0]), node.meta["val"]
        if not hasattr(found, "shape"):
            return walk.stop(node, f"{node.name} at {layer_of(node)} is not understood")
        first = value.rank - axes
        planes = []
        for plane in value.planes:
            if plane.axis >= first:
                walk.freeze(plane.tokens, f"{layer_of(node)} mixes what lies along axis {plane.axis}")
                continue
            for axis in range(first, value.rank):
                plane = walk.level(plane, axis, node)  # noqa: PLW2901
            planes.append(plane)
        return Value((*value.shape[:first], *(int(size) for size in found.shape[first:])), tuple(planes))

    return keep_channels


RULES: dict[str, Rule] = {
    **dict.fromkeys(REDUCTIONS, _reduction),
    **{name: _spatial(int(name[-2])) for name in POOLINGS},
    **{name: _spatial(axes) for name, axes in RESIZINGS.items()},
    "max": _largest,
    "min": _largest,
}
