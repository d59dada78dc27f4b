"""A suite: many cases in one TOML file, judged together."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from edgekit.frozen import Frozen
from edgekit.gate.case import Case, Limits, open_case
from edgekit.gate.pairs import Metric
from edgekit.tomlfile import read_file


class Entry(Frozen):
    """One `[[case]]`; paths are relative to the suite's file."""

    name: str
    base: str
    candidate: str
    max_regression: float = Field(default=0.05, gt=0)
    metric: Metric = "p50"
    limits: Limits = Limits()


class Suite(Frozen):
    """The file."""

    case: tuple[Entry, ...] = Field(min_length=1)


def open_suite(path: Path, *, force: bool) -> list[Case]:
    """Every case of a suite, opened; raises `InputError` with file, place and key."""
    folder = path.parent
    return [
        open_case(
            folder / entry.base,
            folder / entry.candidate,
            max_regression=entry.max_regression,
            metric=entry.metric,
            limits=entry.limits,
            name=entry.name,
            force=force,
        )
        for entry in read_file(Suite, "suite", path).case
    ]
