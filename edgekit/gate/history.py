"""Latency over many commits: one JSON line a comparison, and the drifts in it that no single gate can see."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import numpy as np
import ruptures
from pydantic import AwareDatetime, Field, ValidationError

from edgekit.errors import InputError
from edgekit.frozen import Frozen
from edgekit.gate.result import CaseResult, GateResult

LEAST = 5
"""Fewer comparisons than this on either side of a change say nothing about a drift."""
PENALTY = 6.0
"""Times the logarithm of the count: what a change must explain of a series in units of its noise (BIC takes 2, with
the noise known; here it is an estimate from few values)."""

RESOLUTION = 1e-3
"""No latency is known better than to a thousandth, however alike a few values are."""


class Entry(Frozen):
    """What one comparison leaves in the history."""

    time: AwareDatetime
    """With its time zone: entries are put in order by it."""
    case: str
    sha256: str
    """Of the candidate's model file."""
    p50_ms: float = Field(gt=0, allow_inf_nan=False)
    verdict: str
    fingerprint: Mapping[str, str]
    """Device and its settings, runtime and its options, threads, precision: entries of different ones are never
    compared."""


class Drift(Frozen):
    """A lasting change between two entries of one case on one fingerprint."""

    case: str
    since: datetime
    sha256: str
    """The first candidate after the change."""
    before_ms: float
    after_ms: float
    fingerprint: Mapping[str, str]


def entries_of(result: GateResult, time: datetime) -> list[Entry]:
    """The lines that a gate adds; a case that was not measured adds none."""
    return [
        Entry(
            time=time,
            case=case.name,
            sha256=case.candidate.sha256,
            p50_ms=case.candidate.p50_ms,
            verdict=case.verdict,
            fingerprint=_key(case),
        )
        for case in result.cases
        if case.candidate.p50_ms is not None
    ]


def _key(case: CaseResult) -> dict[str, str]:
    side = case.candidate
    options = " ".join(f"{name}={value}" for name, value in sorted(side.options.items()))
    return {
        **case.fingerprint,
        "device": case.device,
        "model": side.model,
        "precision": side.precision,
        "runtime": side.runtime,
        "options": options,
    }


def append(path: Path, entries: Sequence[Entry]) -> None:
    """Add lines at the end of a file; what stands in it is never changed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":  # somebody's editor left the last line open
                file.write(b"\n")
        file.write("".join(f"{entry.model_dump_json()}\n" for entry in entries).encode())


def read(path: Path) -> list[Entry]:
    """Every line of a history, none where there is no file yet; empty lines are passed over.

    Raises `InputError` that names the line: a value that is no latency, a time without its zone.
    """
    if not path.exists():
        return []
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is no history: {error}", hint="it holds JSON lines, in UTF-8") from error
    found = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found.append(Entry.model_validate_json(line))
        except ValidationError as error:
            raise InputError(f"{path}, line {number} is no entry of a history: {error}") from error
    return found


def drifts(entries: Sequence[Entry]) -> list[Drift]:
    """The last lasting change of each case on each fingerprint (PELT; Killick, Fearnhead and Eckley 2012)."""
    series: dict[tuple[str, frozenset[tuple[str, str]]], list[Entry]] = defaultdict(list)
    for entry in sorted(entries, key=lambda entry: entry.time):
        series[entry.case, frozenset(entry.fingerprint.items())].append(entry)
    return [drift for found in series.values() if (drift := _last_change(found)) is not None]


def _last_change(series: Sequence[Entry]) -> Drift | None:
    values = np.log([entry.p50_ms for entry in series])
    if len(values) < 2 * LEAST:
        return None
    noise = max(1.4826 * np.median(np.abs(np.diff(values))) / np.sqrt(2), RESOLUTION)
    search = ruptures.Pelt(model="l2", min_size=LEAST, jump=1).fit((values / noise).reshape(-1, 1))
    *changes, _ = search.predict(pen=PENALTY * np.log(len(values)))
    if not changes:
        return None
    start, change = ([0, *changes][-2], changes[-1])
    return Drift(
        case=series[change].case,
        since=series[change].time,
        sha256=series[change].sha256,
        before_ms=float(np.exp(values[start:change].mean())),
        after_ms=float(np.exp(values[change:].mean())),
        fingerprint=series[change].fingerprint,
    )
