"""Whether the file that ships keeps its budget: accuracy, MACs, latency, size."""

from __future__ import annotations

from edgekit.recipe import Budget, allowance
from edgekit.report import Parity, Step

UNLIKE_DB = 6.0
"""The error is half as large as the signal."""


def failures(budget: Budget, first: Step, last: Step, *, metric: str = "accuracy") -> tuple[str, ...]:
    """Each budget that the shipped file misses, with what was reached instead; `first` is the baseline.

    `metric` is what the messages call accuracy.
    """
    found = []
    if budget.accuracy_drop is not None and first.accuracy is not None and last.accuracy is not None:
        drop = 100 * (first.accuracy - last.accuracy)
        if drop > budget.accuracy_drop + 1e-9:
            found.append(
                f"{metric} drop {drop:.2f} points on the test split, budget {budget.accuracy_drop:g}"
            )
    if budget.macs is not None:
        allowed = allowance(budget.macs, first.macs)
        if last.macs > allowed:
            found.append(
                f"{last.macs:,} MACs ({last.macs / first.macs:.2f} of the baseline), budget {allowed:,}"
            )
    if budget.latency_ms is not None:
        found.extend(_latency_failure(budget.latency_ms, last))
    if budget.size_bytes is not None and (last.size_bytes or 0) > budget.size_bytes:
        found.append(f"{last.size_bytes:,} bytes, budget {budget.size_bytes:,}")
    return tuple(found)


def unlike(parity: Parity) -> tuple[str, ...]:
    """A file whose output is hardly its network's is no file of it, whatever else it keeps."""
    if parity.sqnr_db >= UNLIKE_DB:
        return ()
    return (
        f"the file's output is {parity.sqnr_db:.1f} dB from its network's: under {UNLIKE_DB:g} dB it is another's",
    )


def _latency_failure(allowed_ms: float, last: Step) -> list[str]:
    """A latency budget is the device's: a proxy can neither keep nor miss it."""
    if last.latency_ms is None or not last.latency_ms.source.startswith("measured"):
        return [
            f"latency budget {allowed_ms:g} ms: not measured on the target, so nothing shows that it is kept"
        ]
    return (
        [f"p50 {last.latency_ms.p50:.3f} ms, budget {allowed_ms:g} ms"]
        if last.latency_ms.p50 > allowed_ms
        else []
    )
