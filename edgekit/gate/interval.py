"""How much slower a candidate is, and how sure that is: a bootstrap interval over paired log-ratios."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from scipy import stats

from edgekit.frozen import Frozen

TRIM = 0.1
"""Of the pairs at each end, the share that the estimate leaves out: a block that caught a spike says little."""
RESAMPLES = 9999
RESOLVED = 20
"""Resamples that must lie beyond an end for it to be a percentile, not the luck of the last few."""


class Interval(Frozen):
    """A ratio of latencies, candidate over base, less 1: 0.05 is 5 % slower."""

    estimate: float
    low: float
    high: float
    confidence: float

    @property
    def half_width(self) -> float:
        """What separates the estimate from the lower end."""
        return self.estimate - self.low


def slowdown(log_ratios: Sequence[float], confidence: float) -> Interval:
    """The trimmed mean of paired log-ratios with its two-sided bootstrap interval.

    Percentiles, expanded for small samples (Hesterberg, "What Teachers Should Know About the Bootstrap", 2015): bare
    ones of ten pairs are too narrow by a tenth and more. Where the resamples are too few for the level that is asked
    for, each end is at least as far out as that of the trimmed mean's t interval (Tukey and McLaughlin 1963).

    `log_ratios`: ln(candidate / base), one a pair of blocks, at least three. The same ratios give the same interval.
    """
    values = np.asarray(log_ratios, dtype=np.float64)
    estimate = float(stats.trim_mean(values, TRIM))
    low, high = estimate, estimate
    if np.ptp(values) > 0:  # else there is no spread, and nothing to resample
        low, high = _bootstrapped(values, _expanded(confidence, len(values)))
        if not resolved(len(values), confidence):
            student = _student(values, confidence)
            low, high = min(low, student[0]), max(high, student[1])
    return _interval(estimate, low, high, confidence)


def inner(log_ratios: Sequence[float], confidence: float) -> Interval:
    """The t interval alone: at no cost, and inside that of `slowdown` where the level is not `resolved`."""
    values = np.asarray(log_ratios, dtype=np.float64)
    return _interval(float(stats.trim_mean(values, TRIM)), *_student(values, confidence), confidence)


def resolved(count: int, confidence: float) -> bool:
    """Whether the resamples of that many values are enough for the level."""
    return (1 - _expanded(confidence, count)) / 2 * RESAMPLES >= RESOLVED


def _interval(estimate: float, low: float, high: float, confidence: float) -> Interval:
    return Interval(
        estimate=math.expm1(estimate), low=math.expm1(low), high=math.expm1(high), confidence=confidence
    )


def _student(values: np.ndarray, confidence: float) -> tuple[float, float]:
    low, high = stats.mstats.trimmed_mean_ci(values, limits=(TRIM, TRIM), alpha=1 - confidence)
    return float(low), float(high)


def _bootstrapped(values: np.ndarray, level: float) -> tuple[float, float]:
    found = stats.bootstrap(
        (values,),
        _trimmed_mean,
        confidence_level=level,
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return float(found.low), float(found.high)


def _expanded(confidence: float, count: int) -> float:
    """The level at which percentiles of that few values cover what Student's t would."""
    quantile = math.sqrt(count / (count - 1)) * stats.t.ppf(0.5 + confidence / 2, count - 1)
    return float(1 - 2 * stats.norm.sf(quantile))


def _trimmed_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(stats.trim_mean(values, TRIM, axis=axis))
