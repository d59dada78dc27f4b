"""Sparse tensors of a .tflite: read back as the dense ones that they stand for.

A sparse tensor's axes are walked in an order of its own, perhaps in blocks; each is dense, or lists the places that are
kept (TACO's formats; Kjolstad et al. 2017). Its values follow in the order of that walk.
"""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
_DENSE = 0
"""`DimensionType` of an axis all of whose places are there."""


def dense_of(sparsity: Any, shape: tuple[int, ...], values: Array) -> Array:
    """The dense tensor of a schema's `SparsityParametersT` and the values that are stored.

    Raises `ValueError` or `IndexError` where these do not fit each other.
    """
    order = [int(axis) for axis in sparsity.traversalOrder]
    blocked = [int(axis) for axis in (sparsity.blockMap if sparsity.blockMap is not None else [])]
    sizes = _block_sizes(sparsity, order, len(shape))
    walked: list[Array] = []  # for each axis so far, the position at each place of the walk
    count = 1
    for level in sparsity.dimMetadata:
        parents, positions = _step(level, count)
        walked = [earlier[parents] for earlier in walked]
        walked.append(positions)
        count = len(positions)
    if count != values.size:
        raise ValueError(f"a sparse tensor has {count} places and {values.size} values")
    places = [np.zeros(count, np.int64) for _ in shape]
    for axis, positions in sorted(zip(order, walked, strict=True), key=lambda pair: pair[0]):
        if axis < len(shape):
            places[axis] = positions * sizes.get(axis, 1) if axis in blocked else positions
        else:
            places[blocked[axis - len(shape)]] += positions
    result = np.zeros(shape, values.dtype)
    result[tuple(places)] = values
    return result


def _block_sizes(sparsity: Any, order: list[int], rank: int) -> dict[int, int]:
    """Axis → the size of its blocks."""
    found = {}
    for axis, level in zip(order, sparsity.dimMetadata, strict=True):
        if axis >= rank:
            found[int(sparsity.blockMap[axis - rank])] = int(level.denseSize)
    return found


def _step(level: Any, count: int) -> tuple[Array, Array]:
    """One level deeper from `count` places: for each new place the one that it comes from, and its position."""
    if level.format == _DENSE:
        size = int(level.denseSize)
        return np.repeat(np.arange(count), size), np.tile(np.arange(size), count)
    segments, indices = (
        np.asarray(vector.values, dtype=np.int64) for vector in (level.arraySegments, level.arrayIndices)
    )
    if len(segments) != count + 1 or segments[-1] != len(indices):
        raise ValueError("a sparse tensor's segments do not fit its places")
    return np.repeat(np.arange(count), np.diff(segments)), indices
