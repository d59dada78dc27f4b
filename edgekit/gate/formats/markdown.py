"""Markdown for a job's summary: a table with a small chart of each interval."""

from __future__ import annotations

from edgekit.gate.formats.words import case_lines, interval, milliseconds
from edgekit.gate.result import CaseResult, GateResult

CHART_CELLS = 21
CHART_REACH = 2.0
"""The chart reaches this many thresholds to either side of no change."""


def text(result: GateResult) -> str:
    """The page."""
    rows = [
        "| case | verdict | base | candidate | change | −2× … 0 … threshold … +2× |",
        "|---|---|---|---|---|---|",
        *(_row(case) for case in result.cases),
    ]
    details = [line for case in result.cases for line in ("", f"**{case.name}**", "", *_list(case))]
    head = f"## Latency on {result.device}: {result.verdict}"
    return "\n".join((head, "", *rows, *details, ""))


def _row(case: CaseResult) -> str:
    change = interval(case.slowdown) if case.slowdown else "not measured"
    base, candidate = (milliseconds(side, case.metric) for side in (case.base, case.candidate))
    cells = (case.name.replace("|", "\\|"), case.verdict, base, candidate, change, f"`{chart(case)}`")
    return f"| {' | '.join(cells)} |"


def chart(case: CaseResult) -> str:
    """The interval as dashes on a line from −2 to +2 thresholds: `·` the estimate, `|` none and the threshold."""
    cells = [" "] * CHART_CELLS
    if case.slowdown is not None:
        low, high = (_cell(value, case.plan.threshold) for value in (case.slowdown.low, case.slowdown.high))
        cells[low : high + 1] = ["-"] * (high - low + 1)
    for mark in (0.0, case.plan.threshold):
        cells[_cell(mark, case.plan.threshold)] = "|"
    if case.slowdown is not None:
        cells[_cell(case.slowdown.estimate, case.plan.threshold)] = "·"
    return "".join(cells)


def _cell(value: float, threshold: float) -> int:
    reach = CHART_REACH * threshold
    place = (min(max(value, -reach), reach) + reach) / (2 * reach)
    return round(place * (CHART_CELLS - 1))


def _list(case: CaseResult) -> list[str]:
    return [f"- {line}" for line in case_lines(case)]
