"""github-action-benchmark's `customSmallerIsBetter`: a list of named values."""

from __future__ import annotations

import json

from edgekit.gate.formats.words import interval
from edgekit.gate.result import GateResult


def text(result: GateResult) -> str:
    """Candidates' milliseconds; the range is what the change against the base is known to."""
    entries = [
        {
            "name": f"{case.name} {case.metric}",
            "unit": "ms",
            "value": case.candidate.p50_ms if case.metric == "p50" else case.candidate.p90_ms,
            "range": interval(case.slowdown) if case.slowdown else "",
            "extra": f"{case.verdict}: {case.reason}; {case.device}",
        }
        for case in result.cases
        if case.candidate.p50_ms is not None
    ]
    return json.dumps(entries, indent=2) + "\n"
