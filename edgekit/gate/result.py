"""What a gate found: one result a case, and the whole, as `--json` gives it (schema 1)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

from edgekit.frozen import Frozen
from edgekit.gate.interval import Interval
from edgekit.gate.pairs import Metric
from edgekit.gate.plan import Plan

SCHEMA = 1
Verdict = Literal["pass", "fail", "inconclusive", "stopped"]
"""`stopped`: a device or a runtime went away; what had been measured is kept."""


class Side(Frozen):
    """One of the two files."""

    artifact: str
    model: str
    precision: str
    sha256: str
    """Of the model file."""
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
    verdict: Verdict
    reason: str
    metric: Metric
    runtime: str
    """Name, version and options: what both sides ran in, and what must be equal for figures to be comparable."""
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
    set_aside: tuple[str, ...] = ()
    """Why pairs did not count, in the machine's own words; never because of their value."""
    checks: tuple[Check, ...] = ()
    log_ratios: Mapping[Metric, tuple[float, ...]] = {}
    seconds: float


class GateResult(Frozen):
    """All cases of one gate."""

    schema_version: int = SCHEMA
    verdict: Verdict
    device: str
    fingerprint: Mapping[str, str]
    """What must be equal for latencies to be comparable at all."""
    cases: tuple[CaseResult, ...]


def overall(cases: tuple[CaseResult, ...]) -> Verdict:
    """The worst of all: a failure, else what was stopped, else what stayed open."""
    found = {case.verdict for case in cases}
    worst_first: tuple[Verdict, ...] = ("fail", "stopped", "inconclusive", "pass")
    return next((verdict for verdict in worst_first if verdict in found), "pass")
