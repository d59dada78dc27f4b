"""A report's figures in words: the terminal and the page say the same."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from edgekit.facts import NONE
from edgekit.metrics import metric_of
from edgekit.report import Latency, LayerTime, LayerTimes, Report, Step
from edgekit.units import human_bytes, human_count

MINUS: Final = "\N{MINUS SIGN}"
IDENTICAL_DB: Final = 200.0
"""The cap of an SQNR: no difference at all."""


@dataclass(frozen=True)
class Gain:
    """One figure of the shipped file beside the baseline's."""

    name: str
    before: str
    after: str
    change: str
    """`3.9 times smaller`; empty where there is nothing to compare."""
    source: str = ""
    """Where a latency comes from."""


def metric(report: Report) -> str:
    """What a report's accuracies are: `accuracy` (top-1), or `IoU` where the task is segmentation."""
    return metric_of("segmentation" if _segments(report) else "classification").name


def agreement(report: Report, share: float) -> str:
    """How often the file and its network give the same answer: `same top-1 on 99.20 %`."""
    told = percent(share)
    return f"same class for {told} of the pixels" if _segments(report) else f"same top-1 on {told}"


def _segments(report: Report) -> bool:
    return report.model.get("task") == "segmentation"


def percent(share: float | None) -> str:
    """`0.9861` → `98.61 %`."""
    return NONE if share is None else f"{100 * share:.2f} %"


def count(value: int | None) -> str:
    """`human_count`, or a dash."""
    return NONE if value is None else human_count(value)


def size(value: int | None) -> str:
    """`human_bytes`, or a dash."""
    return NONE if value is None else human_bytes(value)


def decibels(value: float | None) -> str:
    """`34.06` → `34.1 dB`."""
    if value is None:
        return NONE
    return "identical" if value >= IDENTICAL_DB else f"{value:.1f} dB"


def milliseconds(latency: Latency | None) -> str:
    """`p50 / p90 ms`."""
    return NONE if latency is None else f"{latency.p50:.2f} / {latency.p90:.2f} ms"


def layer_time_row(row: LayerTime, times: LayerTimes) -> tuple[str, ...]:
    """A layer's name, MACs and their share, memory access, time and its share, what the runtime ran for it."""
    time_ns = row.time_ns if row.operators or row.time_ns else None  # nothing is known to have run for it
    return (
        row.name,
        count(row.macs),
        share(row.macs, times.macs),
        size(row.memory_access_bytes),
        NONE if time_ns is None else f"{time_ns / 1e6:.3f} ms",
        share(time_ns, times.total_ns),
        ", ".join(row.operators) or NONE,
    )


def layer_times_line(times: LayerTimes) -> str:
    """What a table of layers is a table of."""
    return (
        f"{times.total_ns / 1e6:.3f} ms an inference under the profiler, mean of {times.inferences}: {times.source}, "
        f"{times.runtime} {times.runtime_version}, {times.threads} threads"
    )


def share(part: float | None, whole: float) -> str:
    """`0.4 of 1` → `40.0 %`; a dash where there is nothing to share."""
    return NONE if part is None or not whole else f"{100 * part / whole:.1f} %"


def outcome(step: Step, report: Report) -> str:
    """What became of a step: the first is where the run starts, the others were kept or rolled back."""
    if step is report.steps[0]:
        return "start"
    return "kept" if step.kept else "rolled back"


def relative(value: float | None, baseline: float | None) -> str:
    """The change against the baseline, `−52 %`; empty where one of them is missing or nothing changed."""
    if value is None or not baseline or value == baseline:
        return ""
    share = round(100 * (value / baseline - 1))
    return f"{MINUS if share < 0 else '+'}{abs(share)} %"


def latency_sources(latencies: Iterable[Latency | None]) -> list[str]:
    """Each place that latencies come from, in order of appearance: what a row's number refers to."""
    return list(dict.fromkeys(latency.source for latency in latencies if latency is not None))


def name_of(part: Mapping[str, Any]) -> str:
    """What a report calls its model, target or recipe."""
    return str(part.get("name") or part.get("title") or part.get("id") or NONE)


def id_of(part: Mapping[str, Any]) -> str:
    """What the command line calls it."""
    return str(part.get("id") or part.get("name") or NONE)


def gains(report: Report) -> list[Gain]:
    """The shipped file against the baseline; latencies are compared only where they come from one place."""
    first, last = report.steps[0], report.steps[-1]
    figures = [
        Gain(
            "file size",
            size(first.size_bytes),
            size(last.size_bytes),
            _times(first.size_bytes, last.size_bytes, "smaller"),
        ),
        Gain("MACs", count(first.macs), count(last.macs), _times(first.macs, last.macs, "fewer")),
        _latency_gain(first.latency_ms, last.latency_ms),
    ]
    if first.accuracy is not None and last.accuracy is not None:
        points = 100 * (last.accuracy - first.accuracy)
        sign = MINUS if points < 0 else "+"
        figures.append(
            Gain(
                f"{metric(report)}, test split",
                percent(first.accuracy),
                percent(last.accuracy),
                f"{sign}{abs(points):.2f} points",
            )
        )
    elif last.fidelity_db is not None:
        figures.append(
            Gain(
                "fidelity to the float network",
                "",
                decibels(last.fidelity_db),
                f"no labelled data: no {metric(report)}",
            )
        )
    return figures


def _latency_gain(first: Latency | None, last: Latency | None) -> Gain:
    name = "latency p50 / p90"
    if last is None:
        return Gain(name, milliseconds(first), NONE, "not measured")
    if first is None or first.source != last.source:
        return Gain(name, "", milliseconds(last), "", last.source)
    return Gain(
        name, milliseconds(first), milliseconds(last), _times(first.p50, last.p50, "faster"), last.source
    )


def _times(before: float | None, after: float | None, better: str) -> str:
    if not before or not after:
        return ""
    if before == after:
        return "unchanged"
    if before > after:
        return f"{before / after:.1f} times {better}"
    worse = {"smaller": "larger", "fewer": "more", "faster": "slower"}[better]
    return f"{after / before:.1f} times {worse}"


def budget_lines(report: Report) -> list[str]:
    """The budget of a run in words."""
    budget = report.recipe.get("budget") or {}
    lines = []
    if (drop := budget.get("accuracy_drop")) is not None:
        lines.append(f"{metric(report)} drop of at most {drop:g} {'point' if drop == 1 else 'points'}")
    if (latency := budget.get("latency_ms")) is not None:
        lines.append(f"latency of at most {latency:g} ms")
    if (macs := budget.get("macs")) is not None:
        lines.append(
            f"at most {100 * macs:g} % of the MACs" if macs <= 1 else f"at most {human_count(macs)} MACs"
        )
    if (limit := budget.get("size_bytes")) is not None:
        lines.append(f"a file of at most {human_bytes(limit)}")
    return lines


def listed(items: Sequence[str]) -> str:
    """`a, b and c`."""
    return " and ".join([", ".join(items[:-1]), items[-1]] if len(items) > 1 else items)
