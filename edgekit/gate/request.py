"""What `edgekit compare` is asked for, and the whole of it: open, check, measure, write, remember."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from edgekit import devices
from edgekit.errors import InputError
from edgekit.gate import gate, history
from edgekit.gate.case import Case, open_case
from edgekit.gate.document import Document
from edgekit.gate.formats import check_writable, write_all
from edgekit.gate.self_test import SLOWDOWN, SelfTest, self_test
from edgekit.gate.suite import Terms, open_suite
from edgekit.progress import Progress

USAGE = "edgekit compare BASE CANDIDATE, edgekit compare SUITE.toml, or edgekit compare --self-test ARTIFACT"


@dataclass(frozen=True)
class GateRequest:
    """The options of `edgekit compare`."""

    base: Path | None
    candidate: Path | None = None
    device: str = "local"
    terms: Terms = field(default_factory=Terms)
    """Of the two files; of a suite's cases, those that they do not give themselves."""
    threads: int = 2
    max_seconds: float = 600
    slowdown: float | None = None
    """Injected into the candidate."""
    force: bool = False
    reports: Mapping[str, Path] = field(default_factory=dict)
    """Files to write, by the names of their formats."""
    history: Path | None = None


def compare(request: GateRequest, progress: Progress) -> Document:
    """Run the gate; whatever can be refused is refused before anything is measured."""
    if request.history is not None and request.slowdown:
        raise InputError(
            "--inject-slowdown and --history: the history would take an injected slowdown for a real one",
            hint="leave one of them out",
        )
    remembered = {} if request.history is None else {"history": request.history}
    check_writable({**request.reports, **remembered})
    before = [] if request.history is None else history.read(request.history)
    result = gate(
        _cases(request),
        devices.open_device(request.device),
        threads=request.threads,
        max_seconds=request.max_seconds,
        slowdown=request.slowdown or 0.0,
        progress=progress,
    )
    write_all(result, request.reports)
    drifts: list[history.Drift] = []
    if request.history is not None:
        entries = history.entries_of(result, datetime.now(UTC))
        history.append(request.history, entries)
        drifts = history.drifts([*before, *entries])
    return Document(**dict(result), drifts=tuple(drifts))


def run_self_test(request: GateRequest, progress: Progress) -> SelfTest:
    """Run the gate's test of itself on one artifact."""
    if request.base is None or request.candidate is not None:
        raise InputError("a self-test takes one artifact", hint=USAGE)
    if request.reports or request.history is not None:
        raise InputError(
            "a self-test is no comparison: it is written to no report and no history",
            hint="--json gives all of it",
        )
    return self_test(
        _case(request, request.base, request.base),
        devices.open_device(request.device),
        injected=SLOWDOWN if request.slowdown is None else request.slowdown,
        threads=request.threads,
        max_seconds=request.max_seconds,
        progress=progress,
    )


def _cases(request: GateRequest) -> list[Case]:
    if request.base is not None and request.candidate is None and request.base.suffix == ".toml":
        return open_suite(request.base, force=request.force, terms=request.terms)
    if request.base is None or request.candidate is None:
        raise InputError("two files are compared", hint=USAGE)
    return [_case(request, request.base, request.candidate)]


def _case(request: GateRequest, base: Path, candidate: Path) -> Case:
    terms = request.terms
    return open_case(
        base,
        candidate,
        max_regression=terms.max_regression,
        metric=terms.metric,
        limits=terms.limits,
        runtime=terms.runtime,
        force=request.force,
    )
