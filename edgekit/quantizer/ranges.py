"""From what was seen of a tensor to its scale: the range whose 8-bit grid errs least."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from edgekit.model import ActivationScale

Array = np.ndarray[Any, Any]

BINS = 8192
_NOTHING = 1e-20
"""A tensor that stays this near to zero is zero; a scale for it would leave float32's range."""
_SHRINKS = np.linspace(1.0, 0.3, 57)


@dataclass(frozen=True)
class Histogram:
    """Counts of a tensor's values in `BINS` equal bins over [-limit, limit], and its exact extremes."""

    counts: Array
    limit: float
    low: float
    high: float


def closest_scale(seen: Histogram, *, symmetric: bool, exponent: float) -> ActivationScale:
    """The scale and zero point (int8) with the least sum of |error| to a power over the histogram.

    Infinity keeps the extremes. For other exponents each end of the range is drawn in from its extreme in turn,
    to no less than 30 % of it: rounding errs less then, clipping more; 2 is the least squared error of Sakr et
    al. 2022 ("Optimal Clipping and Magnitude-aware Differentiation"). Zero is always exact.
    """
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    if exponent == math.inf:
        return scale_of(low, high, symmetric=symmetric)
    filled = np.flatnonzero(seen.counts)
    counts, values = seen.counts[filled], (filled + 0.5) * (2 * seen.limit / BINS) - seen.limit

    def nearest(ends: Array, grids: list[ActivationScale]) -> float:
        return float(ends[np.argmin([_error(counts, values, grid, exponent) for grid in grids])])

    if symmetric:
        ends = max(-low, high) * _SHRINKS
        high = nearest(ends, [scale_of(-end, end, symmetric=True) for end in ends])
        return scale_of(-high, high, symmetric=True)
    ends = high * _SHRINKS
    high = nearest(ends, [scale_of(low, end, symmetric=False) for end in ends])
    ends = low * _SHRINKS
    low = nearest(ends, [scale_of(end, high, symmetric=False) for end in ends])
    return scale_of(low, high, symmetric=False)


def entropy_scale(seen: Histogram, *, symmetric: bool) -> ActivationScale:
    """The scale that keeps most of the distribution: least Kullback-Leibler divergence of the rounded values'.

    As TensorRT's calibrator does it (Migacz 2017, "8-bit Inference with TensorRT"): what the range cuts off counts as
    its outermost value, and zeros, which every grid has, do not count. Both ends are drawn in together.
    """
    low, high = min(seen.low, 0.0), max(seen.high, 0.0)
    filled = np.flatnonzero(seen.counts)
    values = (filled + 0.5) * (2 * seen.limit / BINS) - seen.limit
    others = np.abs(values) > seen.limit / BINS
    counts, values = seen.counts[filled][others], values[others]
    grids = [scale_of(low * shrink, high * shrink, symmetric=symmetric) for shrink in _SHRINKS]
    if not len(values):
        return grids[0]
    return grids[int(np.argmin([_divergence(counts, values, grid) for grid in grids]))]


def _divergence(counts: Array, values: Array, grid: ActivationScale) -> float:
    integers = np.round(values / grid.scale) + grid.zero_point
    inside = np.flatnonzero((integers >= -128) & (integers <= 127))
    if not len(inside):
        return math.inf
    first, last = inside[0], inside[-1] + 1  # values are in order
    reference = counts[first:last].copy()
    reference[0] += counts[:first].sum()
    reference[-1] += counts[last:].sum()
    levels = integers[first:last].astype(np.int64) + 128
    spread = np.bincount(levels, counts[first:last], 256) / np.maximum(np.bincount(levels, minlength=256), 1)
    rounded = spread[levels]
    share = reference / reference.sum()
    return float(share @ np.log(share / (rounded / rounded.sum())))


def scale_of(low: float, high: float, *, symmetric: bool) -> ActivationScale:
    """The int8 grid over a range that holds zero; scales are float32 numbers, as all runtimes store them."""
    if high - low < _NOTHING:  # a ReLU that never fires is one whose grid begins at zero
        return ActivationScale(scale=1.0, zero_point=0 if symmetric else -128)
    if symmetric:
        return ActivationScale(scale=float(np.float32(max(-low, high) / 127)), zero_point=0)
    scale = float(np.float32((high - low) / 255))
    return ActivationScale(scale=scale, zero_point=int(np.clip(round(-128 - low / scale), -128, 127)))


def _error(counts: Array, values: Array, grid: ActivationScale, exponent: float) -> float:
    integers = np.clip(np.round(values / grid.scale) + grid.zero_point, -128, 127)
    squares = np.square(values - (integers - grid.zero_point) * grid.scale)
    return float(counts @ (squares if exponent == 2 else squares ** (exponent / 2)))


OBSERVERS: dict[str, Callable[[Histogram, bool], ActivationScale]] = {
    "min-max": lambda seen, symmetric: closest_scale(seen, symmetric=symmetric, exponent=math.inf),
    "mse": lambda seen, symmetric: closest_scale(seen, symmetric=symmetric, exponent=2),
    "entropy": lambda seen, symmetric: entropy_scale(seen, symmetric=symmetric),
}
"""By name; docs/int8.md says which others were tried."""
