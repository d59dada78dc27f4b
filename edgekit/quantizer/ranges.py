"""From what was seen of a tensor to its scale: the range whose 8-bit grid errs least."""

from __future__ import annotations

import math
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
