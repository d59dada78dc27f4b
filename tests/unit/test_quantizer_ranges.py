"""Scales from what was seen of a tensor."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from edgekit.model import ActivationScale
from edgekit.quantizer.observers import HistogramObserver
from edgekit.quantizer.ranges import BINS, Histogram, closest_scale, scale_of

Array = np.ndarray[Any, Any]


def seen(*batches: Array) -> Histogram:
    observer = HistogramObserver()
    for batch in batches:
        observer.see(torch.from_numpy(batch.astype(np.float32)))
    return observer.histogram()


def rounded(values: Array, scale: float, zero_point: int) -> Array:
    return (np.clip(np.round(values / scale) + zero_point, -128, 127) - zero_point) * scale


def test_a_histogram_grows_without_losing_a_count() -> None:
    rng = np.random.default_rng(0)
    batches = [rng.normal(size=1000) * size for size in (0.01, 1, 100)]
    found = seen(*batches)
    expected, _ = np.histogram(np.concatenate(batches), BINS, (-found.limit, found.limit))
    assert found.counts.sum() == 3000
    # A value on the border of two bins may be counted in either, by float32.
    assert np.abs(found.counts - expected).sum() <= 6
    assert found.low == pytest.approx(min(float(batch.min()) for batch in batches))
    assert found.high == pytest.approx(max(float(batch.max()) for batch in batches))


def test_the_order_of_batches_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    batches = [rng.normal(size=500) * size for size in (3, 0.1, 40)]

    def of(batches: list[Array]) -> ActivationScale:
        return closest_scale(seen(*batches), symmetric=False, exponent=2)

    assert of(batches) == of(batches[::-1])


@pytest.mark.parametrize("symmetric", [False, True])
def test_squares_clip_a_far_outlier_and_extremes_keep_it(symmetric: bool) -> None:
    body = np.random.default_rng(2).normal(size=200_000)
    found = seen(body, np.array([60.0]))
    squares = closest_scale(found, symmetric=symmetric, exponent=2)
    fourth = closest_scale(found, symmetric=symmetric, exponent=4)
    extremes = closest_scale(found, symmetric=symmetric, exponent=math.inf)
    assert squares.scale < 0.85 * extremes.scale
    assert squares.scale < fourth.scale <= extremes.scale
    assert extremes.scale * (127 if symmetric else 255) == pytest.approx(
        60 - (0 if symmetric else body.min())
    )


@pytest.mark.parametrize("exponent", [2, 4, math.inf])
def test_a_range_that_is_used_evenly_is_kept(exponent: float) -> None:
    even = seen(np.linspace(-1, 1, 100_001))
    assert closest_scale(even, symmetric=False, exponent=exponent).scale * 255 == pytest.approx(2, rel=0.05)
    assert closest_scale(even, symmetric=True, exponent=exponent).scale * 127 == pytest.approx(1, rel=0.05)


def test_after_a_relu_the_whole_grid_lies_above_zero() -> None:
    grid = closest_scale(seen(np.linspace(0, 6, 10_001)), symmetric=False, exponent=2)
    assert grid.zero_point == -128
    assert grid.scale == pytest.approx(6 / 255, rel=0.02)


def test_a_tensor_that_is_always_zero_has_a_scale_all_the_same() -> None:
    assert closest_scale(seen(np.zeros(10)), symmetric=False, exponent=2).scale == 1.0


@given(
    low=st.floats(-1e4, 0, width=32),
    high=st.floats(0, 1e4, width=32),
    symmetric=st.booleans(),
    at=st.floats(0, 1),
)
def test_a_grid_holds_zero_exactly_and_its_range_to_half_a_step(
    low: float,
    high: float,
    symmetric: bool,
    at: float,
) -> None:
    grid = scale_of(low, high, symmetric=symmetric)
    assert rounded(np.zeros(1), grid.scale, grid.zero_point) == 0
    assert grid.scale == float(np.float32(grid.scale)) > 0
    assert not (symmetric and grid.zero_point)
    value = np.array([low + at * (high - low)])
    if high - low > 1e-20:
        assert abs(rounded(value, grid.scale, grid.zero_point) - value) <= grid.scale * 1.01


def test_a_tensor_that_is_always_zero_has_a_grid_that_begins_there() -> None:
    """As that of any other ReLU does: runtimes leave a ReLU out in front of it."""
    assert scale_of(0.0, 0.0, symmetric=False) == ActivationScale(scale=1.0, zero_point=-128)
    assert scale_of(0.0, 0.0, symmetric=True) == ActivationScale(scale=1.0, zero_point=0)
