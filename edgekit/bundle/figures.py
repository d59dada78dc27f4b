"""The figures of a run that speak of the file in a bundle; nothing is made up, what was not taken is absent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit import report_text as text
from edgekit.bundle.manifest import Accuracy

if TYPE_CHECKING:
    from edgekit.report import Latency, Report


@dataclass(frozen=True)
class Figures:
    """What a report tells of the file that it shipped."""

    accuracy: Accuracy | None = None
    latencies: tuple[Latency, ...] = ()
    notes: tuple[str, ...] = ()
    """The report's own warnings."""


def figures(report: Report, sha256: str) -> Figures:
    """The figures of the shipped file, where its SHA-256 is this one; else none: they speak of another file."""
    if report.artifact.sha256 != sha256:
        return Figures()
    first, last = report.steps[0], report.steps[-1]
    accuracy = None
    if last.accuracy is not None:
        accuracy = Accuracy(
            metric=text.metric(report),
            value=last.accuracy,
            baseline=first.accuracy,
            data=str(report.data["name"]),
            data_sha256=str(report.data["sha256"]),
            pictures=int(report.data["test"]),
        )
    latencies = (last.latency_ms,) if last.latency_ms is not None else ()
    return Figures(accuracy, latencies, report.warnings)
