"""A comparison in words and numbers: what the terminal, JUnit and Markdown say alike."""

from __future__ import annotations

from edgekit.gate.interval import Interval
from edgekit.gate.pairs import Metric
from edgekit.gate.result import CaseResult, Side


def share(value: float) -> str:
    """0.0123 → `+1.2 %`."""
    return f"{100 * value:+.1f} %"


def interval(found: Interval) -> str:
    """`+1.2 % [+0.3 %, +2.1 %]`."""
    return f"{share(found.estimate)} [{share(found.low)}, {share(found.high)}]"


def milliseconds(side: Side, metric: Metric) -> str:
    """The median over blocks."""
    value = side.p50_ms if metric == "p50" else side.p90_ms
    return "not measured" if value is None else f"{value:.3f} ms"


def case_lines(case: CaseResult) -> list[str]:
    """The verdict, what it rests on, and what it could have seen."""
    other: Metric = "p90" if case.metric == "p50" else "p50"
    lines = [f"{case.verdict}: {case.reason}"]
    if case.slowdown is not None:
        lines.append(
            f"{case.metric}: {milliseconds(case.base, case.metric)} → {milliseconds(case.candidate, case.metric)}, "
            f"{interval(case.slowdown)} at {100 * case.slowdown.confidence:.6g} % confidence over {case.judged} pairs"
        )
    lines.append(_ran(case))
    if case.smallest_visible is not None:
        lines.append(f"a regression of {share(case.smallest_visible)} or more would have failed")
    if case.beside is not None:
        lines.append(f"{other}, reported only: {interval(case.beside)}")
    if case.set_aside:
        lines.append(f"{len(case.set_aside)} pairs set aside: {case.set_aside[0]}")
    for check in case.checks:
        kept = "kept" if check.kept else "BROKEN"
        lines.append(f"{check.name}: {check.base:g} → {check.candidate:g}, limit {check.limit:g}, {kept}")
    lines.extend(f"not compared: {figure}" for figure in case.not_compared)
    return lines


def _ran(case: CaseResult) -> str:
    """What both sides ran in, one text where it is one, and where."""
    base, candidate = (
        " ".join((side.runtime, *(f"{name}={value}" for name, value in sorted(side.options.items()))))
        for side in (case.base, case.candidate)
    )
    where = f"in {candidate}" if base == candidate else f"in {base}, the candidate in {candidate}"
    return f"{where}, on {case.device}"
