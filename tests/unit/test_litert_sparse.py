"""Sparse tensors of a .tflite: what is stored stands for the tensor that it was made of."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from edgekit.exporters.litert_sparse import dense_of


@dataclass
class Values:
    values: list[int]


@dataclass
class Level:
    """One axis, as the schema has it."""

    format: int
    denseSize: int = 0  # noqa: N815 (the schema's)
    arraySegments: Values | None = None  # noqa: N815
    arrayIndices: Values | None = None  # noqa: N815


@dataclass
class Sparsity:
    traversalOrder: list[int]  # noqa: N815
    dimMetadata: list[Level]  # noqa: N815
    blockMap: list[int] = field(default_factory=list)  # noqa: N815


def compressed(rows: np.ndarray[Any, Any]) -> tuple[Level, np.ndarray[Any, Any]]:
    """The last axis of (rows, columns, …) as a list of the columns that hold anything, and these columns' values."""
    kept = [np.flatnonzero(row.reshape(len(row), -1).any(axis=1)) for row in rows]
    segments = np.concatenate([[0], np.cumsum([len(each) for each in kept])])
    level = Level(1, 0, Values(segments.tolist()), Values(np.concatenate(kept).tolist()))
    return level, np.concatenate([row[each] for row, each in zip(rows, kept, strict=True)])


def sparse(shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    rng = np.random.default_rng(0)
    return (rng.standard_normal(shape) * (rng.random(shape) < 0.3)).astype(np.float32)


@pytest.mark.parametrize("shape", [(4, 6), (4, 3, 3, 5), (1, 1, 1, 7)])
def test_the_last_axis_compressed(shape: tuple[int, ...]) -> None:
    tensor = sparse(shape)
    level, values = compressed(tensor.reshape(-1, shape[-1]))
    stored = Sparsity(list(range(len(shape))), [*(Level(0, size) for size in shape[:-1]), level])
    assert np.array_equal(dense_of(stored, shape, values.reshape(-1)), tensor)


def test_another_order_of_the_axes() -> None:
    tensor = sparse((4, 6))
    level, values = compressed(tensor.T)
    stored = Sparsity([1, 0], [Level(0, 6), level])
    assert np.array_equal(dense_of(stored, (4, 6), values.reshape(-1)), tensor)


def test_blocks() -> None:
    """4×6 in blocks of 2×3: rows of blocks, the blocks that hold anything, and both axes of each."""
    tensor = sparse((4, 6)) * np.kron([[1, 0], [0, 1]], np.ones((2, 3), np.float32))
    blocks = tensor.reshape(2, 2, 2, 3).transpose(0, 2, 1, 3)
    level, values = compressed(blocks)
    stored = Sparsity([0, 1, 2, 3], [Level(0, 2), level, Level(0, 2), Level(0, 3)], [0, 1])
    assert np.array_equal(dense_of(stored, (4, 6), values.reshape(-1)), tensor)


def test_values_that_do_not_fit_are_refused() -> None:
    tensor = sparse((4, 6))
    level, values = compressed(tensor)
    stored = Sparsity([0, 1], [Level(0, 4), level])
    with pytest.raises(ValueError, match="places and"):
        dense_of(stored, (4, 6), values.reshape(-1)[:-1])
    with pytest.raises(ValueError, match="segments do not fit"):
        dense_of(Sparsity([0, 1], [Level(0, 3), level]), (3, 6), values.reshape(-1))
