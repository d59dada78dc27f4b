"""Layouts of the Keras twin: axes are found again through transpositions, splits and merges."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.tfmot.worker import layout


@pytest.mark.parametrize(
    ("old", "new", "runs"),
    [
        ([8, 4, 4], [2, 4, 4, 4], [([1], [1, 2]), ([2], [3]), ([3], [4])]),
        ([2, 4, 4, 4], [8, 4, 4], [([1, 2], [1]), ([3], [2]), ([4], [3])]),
        ([8, 1, 1], [8], [([1], [1]), ([2], []), ([3], [])]),
        ([6, 2], [4, 3], [([1, 2], [1, 2])]),
    ],
)
def test_runs_of_axes(old: list[int], new: list[int], runs: list[tuple[list[int], list[int]]]) -> None:
    found = layout.groups(old, new)
    assert [axis for ours, _ in found for axis in ours] == list(range(1, len(old) + 1))
    assert [axis for _, theirs in found for axis in theirs] == list(range(1, len(new) + 1))
    for ours, theirs in found:
        assert np.prod([old[axis - 1] for axis in ours]) == np.prod([new[axis - 1] for axis in theirs])
    assert found == runs or any(1 in shape for shape in (old, new))


def test_a_transposition_brings_one_layout_into_another() -> None:
    values = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    last = values.transpose(layout.CHANNELS_LAST)
    back = last.transpose(layout.order(layout.CHANNELS_LAST, (0, 1, 2, 3)))
    assert np.array_equal(back, values)


def test_permuting_moves_nothing() -> None:
    values = np.arange(2 * 3 * 4 * 5).reshape(2, 3, 4, 5)
    last, order = values.transpose(layout.CHANNELS_LAST), (0, 2, 1, 3)
    now = layout.permuted(layout.CHANNELS_LAST, order)
    assert np.array_equal(last.transpose(layout.order(now, (0, 1, 2, 3))), values.transpose(order))


def test_what_is_reduced_away_leaves_the_others_in_order() -> None:
    assert layout.without(layout.CHANNELS_LAST, (2, 3)) == (0, 1)
    assert layout.without(layout.CHANNELS_LAST, (1,)) == (0, 1, 2)
