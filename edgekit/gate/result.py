"""What a gate found: one result a case, and the whole, as `--json` gives it (schema 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from edgekit.frozen import Frozen
from edgekit.gate.interval import Interval
from edgekit.gate.pairs import Metric
from edgekit.gate.plan import Plan

SCHEMA: Literal[1] = 1
Verdict = Literal["pass", "fail", "inconclusive", "stopped"]
"""`stopped`: a device went away or a measurement was invalid; what had been measured is kept."""


class Side(Frozen):
    """One of the two files."""

    artifact: str
    model: str
    precision: str
    sha256: str
    """Of what the runtime opens."""
    runtime: str
    """Its name, and its version once it has run."""
    options: Mapping[str, str]
    """What the runtime was told."""
    p50_ms: float | None
    p90_ms: float | None
    """Medians over the blocks that counted."""


class Check(Frozen):
    """A figure beside speed, against its own threshold."""

    name: str
    base: float
    candidate: float
    limit: float
    """The most (or, of accuracy and parity, the least) that the candidate may have."""
    kept: bool


class CaseResult(Frozen):
    """One comparison."""

    name: str
    device: str
    fingerprint: Mapping[str, str]
    """What must be equal for latencies to be comparable at all."""
    verdict: Verdict
    reason: str
    metric: Metric
    stop_code: int | None = None
    """The exit code of what stopped the case: 3 a device or package that is missing, 4 an invalid measurement."""
    plan: Plan
    base: Side
    candidate: Side
    slowdown: Interval | None
    """Of the metric that is gated; None where too few pairs were measured."""
    beside: Interval | None
    """Of the other metric: reported, never gated."""
    smallest_visible: float | None
    """A regression at least this large would have failed, with the spread that was seen."""
    pairs: int
    """Pairs that counted."""
    judged: int
    """How many of them the interval rests on: those of the last look that was declared."""
    set_aside: tuple[str, ...] = ()
    """Why pairs did not count, in the machine's own words; never because of their value."""
    checks: tuple[Check, ...] = ()
    not_compared: tuple[str, ...] = ()
    """Figures beside speed that a side does not have, and why."""
    log_ratios: Mapping[Metric, tuple[float, ...]] = {}
    seconds: float


class GateResult(Frozen):
    """All cases of one gate."""

    schema_version: Literal[1] = SCHEMA
    verdict: Verdict
    cases: tuple[CaseResult, ...]

    @property
    def device(self) -> str:
        """Where it was measured: of a suite, each device once."""
        return ", ".join(dict.fromkeys(case.device for case in self.cases))

    @property
    def stop_code(self) -> int | None:
        """The exit code of the first case that was stopped."""
        return next((case.stop_code for case in self.cases if case.stop_code is not None), None)


def overall(cases: tuple[CaseResult, ...]) -> Verdict:
    """The worst of all: a failure, else what was stopped, else what stayed open."""
    found = {case.verdict for case in cases}
    worst_first: tuple[Verdict, ...] = ("fail", "stopped", "inconclusive", "pass")
    return next((verdict for verdict in worst_first if verdict in found), "pass")
