"""What is gated beside speed: size, peak memory, operators that fell back to float, accuracy, parity."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from edgekit.artifact import ArtifactFolder
from edgekit.gate.case import Case, Limits
from edgekit.gate.pairs import Pair
from edgekit.gate.result import Check
from edgekit.report import REPORT, Report, load_report

ENOUGH_DB = 25.0
"""A parity above this is rounding noise; only below it does a loss count."""


def checks(case: Case, pairs: Sequence[Pair]) -> tuple[Check, ...]:
    """Each figure that both sides have, against its own limit; accuracy and parity come from runs' reports."""
    size = case.limits.size
    return (
        _at_most("size_bytes", case.base.size_bytes, case.candidate.size_bytes, 1 + size),
        *(_processes(case.limits, pairs) if pairs else ()),
        *_reports(case),
    )


def _at_most(name: str, base: float, candidate: float, factor: float) -> Check:
    return Check(
        name=name, base=base, candidate=candidate, limit=factor * base, kept=candidate <= factor * base
    )


def _processes(limits: Limits, pairs: Sequence[Pair]) -> Iterator[Check]:
    """What the processes that were timed tell as well."""
    yield _at_most(
        "peak_rss_bytes",
        median(pair.base.peak_rss_bytes for pair in pairs),
        median(pair.candidate.peak_rss_bytes for pair in pairs),
        1 + limits.peak_memory,
    )
    before, after = (side.executed.float_operators for side in (pairs[0].base, pairs[0].candidate))
    allowed = before + limits.float_operators
    yield Check(name="float_operators", base=before, candidate=after, limit=allowed, kept=after <= allowed)


def _reports(case: Case) -> Iterator[Check]:
    before, after = _report(case.base), _report(case.candidate)
    if before is None or after is None:
        return
    was, now = before.steps[-1].accuracy, after.steps[-1].accuracy
    if was is not None and now is not None:
        least = was - case.limits.accuracy_points / 100
        yield Check(name="accuracy", base=was, candidate=now, limit=least, kept=now >= least)
    if before.parity and after.parity:
        was, now = before.parity.sqnr_db, after.parity.sqnr_db
        least = min(ENOUGH_DB, was - case.limits.parity_db)
        yield Check(name="parity_db", base=was, candidate=now, limit=least, kept=now >= least)


def _report(artifact: ArtifactFolder) -> Report | None:
    """The report of the run that an artifact lies in."""
    run = artifact.folder.parent
    return load_report(run) if (run / REPORT).is_file() else None
