"""Bencher Metric Format: nanoseconds with bounds."""

from __future__ import annotations

import json

from edgekit.gate.interval import Interval
from edgekit.gate.result import CaseResult, GateResult


def text(result: GateResult) -> str:
    """Candidates' latencies; the bounds are the interval of the change, laid around them."""
    metrics = {
        case.name: {"latency": _latency(case, case.slowdown)}
        for case in result.cases
        if case.slowdown is not None
    }
    return json.dumps(metrics, indent=2) + "\n"


def _latency(case: CaseResult, found: Interval) -> dict[str, float]:
    value = (case.candidate.p50_ms if case.metric == "p50" else case.candidate.p90_ms) or 0.0
    centre = 1 + found.estimate
    return {
        "value": 1e6 * value,
        "lower_value": 1e6 * value * (1 + found.low) / centre,
        "upper_value": 1e6 * value * (1 + found.high) / centre,
    }
