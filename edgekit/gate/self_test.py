"""The gate's test of itself on a device: a file against itself, and against itself slowed by a known share."""

from __future__ import annotations

from dataclasses import replace
from typing import Literal

from edgekit.devices import Device
from edgekit.errors import InputError
from edgekit.frozen import Frozen
from edgekit.gate import check_slowdown, gate
from edgekit.gate.case import Case
from edgekit.gate.result import SCHEMA, CaseResult, GateResult, Verdict
from edgekit.gate.runtime import in_runtime
from edgekit.progress import Progress

SLOWDOWN = 0.10


class SelfTest(Frozen):
    """What the gate said of two comparisons whose truth is known, as `--self-test --json` gives it (schema 1)."""

    schema_version: Literal[1] = SCHEMA
    verdict: Verdict
    """`fail`: it cried wolf, or missed the slowdown; `inconclusive`: it could not clear a file of itself,
    or too few pairs counted."""
    reason: str
    injected: float
    """0.1: each call of the second comparison's candidate took 10 % longer."""
    smallest_visible: float | None
    """The least slowdown that both comparisons would have called; None where too few pairs were measured."""
    same: GateResult
    slowed: GateResult

    @property
    def stop_code(self) -> int | None:
        """The exit code of what stopped either comparison."""
        return self.same.stop_code or self.slowed.stop_code


def self_test(
    case: Case,
    device: Device,
    *,
    injected: float = SLOWDOWN,
    threads: int = 2,
    max_seconds: float = 600,
    progress: Progress | None = None,
) -> SelfTest:
    """Run both comparisons of a case whose sides are one file; raises `InputError` for a slowdown that none may see."""
    if injected <= case.max_regression:
        raise InputError(
            f"a slowdown of {injected:.1%} is not over the threshold of {case.max_regression:.1%}: "
            "the gate has to let it pass",
            hint="inject a larger one",
        )
    place = case.device or device
    case = in_runtime(case, place)
    check_slowdown([case], [place])
    same, slowed = (
        gate(
            [replace(case, name=name)],
            device,
            threads=threads,
            max_seconds=max_seconds,
            slowdown=share,
            progress=progress,
        )
        for name, share in ((f"{case.name} A/A", 0.0), (f"{case.name} slowed by {injected:.1%}", injected))
    )
    seen = [result.cases[0].smallest_visible for result in (same, slowed)]
    verdict, reason = _verdict(same.cases[0], slowed.cases[0])
    return SelfTest(
        verdict=verdict,
        reason=reason,
        injected=injected,
        smallest_visible=None if None in seen else max(value for value in seen if value is not None),
        same=same,
        slowed=slowed,
    )


def _verdict(same: CaseResult, slowed: CaseResult) -> tuple[Verdict, str]:
    for case in (same, slowed):
        if case.verdict == "stopped":
            return "stopped", case.reason
    if same.verdict == "fail":
        return "fail", f"it cried wolf over a file against itself: {same.reason}"
    if slowed.slowdown is None:
        return "inconclusive", f"it never came to judge the slowdown: {slowed.reason}"
    if slowed.plan.decide(slowed.slowdown) != "fail":
        return "fail", f"it missed a known slowdown: {slowed.reason}"
    if same.verdict == "inconclusive":
        return "inconclusive", f"it saw the slowdown, and could not clear the file of itself: {same.reason}"
    return "pass", "it cleared the file of itself, and saw the slowdown"
