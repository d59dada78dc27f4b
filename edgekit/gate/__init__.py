"""The latency gate: whether a candidate is slower than its base, with a verdict that can be trusted."""

from __future__ import annotations

from collections.abc import Sequence

from edgekit import runtimes
from edgekit.devices import Device, TimesOnly
from edgekit.errors import InputError
from edgekit.gate.case import Case
from edgekit.gate.fingerprint import fingerprint
from edgekit.gate.holm import settle
from edgekit.gate.plan import Plan
from edgekit.gate.result import GateResult, overall
from edgekit.gate.run import run_case
from edgekit.gate.runtime import in_runtime
from edgekit.progress import Progress, Silent
from edgekit.runtimes import RUNTIME_OF

__all__ = ["Case", "GateResult", "Plan", "check_slowdown", "gate"]


def gate(
    cases: Sequence[Case],
    device: Device,
    *,
    threads: int = 2,
    max_seconds: float = 600,
    slowdown: float = 0.0,
    progress: Progress | None = None,
) -> GateResult:
    """Compare every case on its own device, else on this one, each for at most `max_seconds`.

    Nothing is decided by a single look, and the chance of a wrong verdict is shared out among the cases.

    `slowdown` makes every candidate slower by that share: the gate's test of itself. Raises `MissingError` where
    the device, or on it the runtime that the files are for, is not there at all, `InputError` for a slowdown where
    none can be injected.
    """
    places = [case.device or device for case in cases]
    tried: set[tuple[str, str]] = set()
    cases = [in_runtime(case, place, tried) for case, place in zip(cases, places, strict=True)]
    if slowdown:
        check_slowdown(cases, places)
    told = [fingerprint(place.state(), threads=threads) for place in places]  # later a device may be gone
    results = tuple(
        run_case(
            case,
            Plan(threshold=case.max_regression, cases=len(cases)),
            place,
            told=facts,
            threads=threads,
            max_seconds=max_seconds,
            slowdown=slowdown,
            progress=progress or Silent(),
        )
        for case, place, facts in zip(cases, places, told, strict=True)
    )
    settled = settle(results)
    return GateResult(verdict=overall(settled), cases=settled)


def check_slowdown(cases: Sequence[Case], places: Sequence[Device]) -> None:
    """Raise `InputError` for a device or a runtime that times files itself: its calls cannot be made slower."""
    for case, place in zip(cases, places, strict=True):
        if isinstance(place, TimesOnly):
            raise InputError(
                f"{place.name} times files itself: there is no injected slowdown on it, and so no self-test",
                hint="test the gate on `local`",
            )
        if case.runtime and runtimes.find(case.runtime).times_itself:
            raise InputError(
                f"{case.runtime} times files itself: there is no injected slowdown in it, and so no self-test",
                hint=f"test the gate on that device in another runtime: "
                f"--runtime {RUNTIME_OF[case.base.manifest.format]}",
            )
