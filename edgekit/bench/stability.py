"""Whether samples are those of one machine in one state, told by the samples themselves and by the machine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.bench.steadiness import disturbance

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.measurement import DeviceState

Samples = np.ndarray[Any, np.dtype[np.float64]]

LIMIT = 0.05
"""Of the median: what medians of processes may differ, a process may drift and two modes may lie apart."""
SPREAD_LIMIT = 0.10
"""Of the median: the median absolute deviation of all samples."""
ENOUGH = 30
"""Samples of a process, below which its drift and the shape of all samples say nothing."""


def unsteady(blocks_ns: Sequence[Sequence[int]], before: DeviceState, after: DeviceState) -> tuple[str, ...]:
    """Why the figures should be believed less, a line each; none where nothing is against them.

    What the machine tells (`disturbance`), processes whose medians differ, a drift within processes, two modes, a wide
    spread. All of them rest on ranks and medians: single slow inferences are a device's nature and no reason.
    """
    blocks = [np.asarray(block, dtype=np.float64) for block in blocks_ns if len(block)]
    if not blocks:
        return ()
    reasons = (disturbance(before, after), _apart(blocks), _drift(blocks), _modes(blocks), _spread(blocks))
    return tuple(reason for reason in reasons if reason)


def _apart(blocks: Sequence[Samples]) -> str:
    medians = np.array([np.median(block) for block in blocks])
    apart = float(np.ptp(medians) / np.median(medians))
    return f"medians of {len(blocks)} processes differ by {apart:.0%}" if apart > LIMIT else ""


def _drift(blocks: Sequence[Samples]) -> str:
    """By Theil and Sen's slope, where Kendall's test finds an order, in most processes and in one direction."""
    from scipy.stats import kendalltau, theilslopes

    changes = []
    for block in blocks:
        if len(block) < ENOUGH:
            return ""
        thinned = block[np.linspace(0, len(block) - 1, min(len(block), 200)).astype(int)]
        steps = np.arange(len(thinned))
        found = kendalltau(steps, thinned).pvalue < 0.01
        changes.append(
            theilslopes(thinned, steps).slope * len(thinned) / np.median(thinned) if found else 0.0
        )
    typical = float(np.median(changes))
    return f"latency moves by {typical:+.0%} within a process" if abs(typical) > LIMIT else ""


def _modes(blocks: Sequence[Samples]) -> str:
    """Peaks of a kernel density estimate between the 1st and the 99th percentile, a fifth of the highest at least."""
    from scipy.signal import find_peaks
    from scipy.stats import gaussian_kde

    samples = np.concatenate(blocks)
    low, high = np.percentile(samples, (1, 99))
    middle = samples[(samples >= low) & (samples <= high)]
    if len(middle) < ENOUGH or np.ptp(middle) == 0:
        return ""
    margin = 0.1 * (high - low)
    places = np.linspace(low - margin, high + margin, 400)
    density = gaussian_kde(middle)(places)
    peaks = places[find_peaks(density, prominence=0.2 * density.max())[0]]
    if len(peaks) < 2 or (peaks[-1] - peaks[0]) / np.median(samples) <= LIMIT:
        return ""
    return f"samples have {len(peaks)} modes: {', '.join(f'{peak / 1e6:.3g}' for peak in peaks)} ms"


def _spread(blocks: Sequence[Samples]) -> str:
    from scipy.stats import median_abs_deviation

    samples = np.concatenate(blocks)
    spread = float(median_abs_deviation(samples) / np.median(samples))
    return (
        f"half of the samples lie further than {spread:.0%} from the median" if spread > SPREAD_LIMIT else ""
    )
