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
    ones of ten pairs are too narrow by a tenth and more.

    `log_ratios`: ln(candidate / base), one a pair of blocks, at least three. The same ratios give the same interval.
    """
    values = np.asarray(log_ratios, dtype=np.float64)
    estimate = float(stats.trim_mean(values, TRIM))
    if np.ptp(values) == 0:  # no spread, nothing to resample
        return Interval(estimate=math.expm1(estimate), low=math.expm1(estimate), high=math.expm1(estimate),
                        confidence=confidence)  # fmt: skip
    found = stats.bootstrap(
        (values,),
        _trimmed_mean,
        confidence_level=_expanded(confidence, len(values)),
        n_resamples=RESAMPLES,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    return Interval(
        estimate=math.expm1(estimate),
        low=math.expm1(float(found.low)),
        high=math.expm1(float(found.high)),
        confidence=confidence,
    )


def _expanded(confidence: float, count: int) -> float:
    """The level at which percentiles of that few values cover what Student's t would."""
    quantile = math.sqrt(count / (count - 1)) * stats.t.ppf(0.5 + confidence / 2, count - 1)
    return float(1 - 2 * stats.norm.sf(quantile))


def _trimmed_mean(values: np.ndarray, axis: int = -1) -> np.ndarray:
    return np.asarray(stats.trim_mean(values, TRIM, axis=axis))
