"""A suite: many cases in one TOML file, judged together."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

from pydantic import Field

from edgekit.devices import Device, open_device
from edgekit.errors import InputError
from edgekit.frozen import Frozen
from edgekit.gate.case import Case, Limits, open_case
from edgekit.gate.pairs import Metric
from edgekit.tomlfile import read_file


class Terms(Frozen):
    """What a candidate may cost: of one case, or of all that say nothing themselves."""

    max_regression: float = Field(default=0.05, gt=0, lt=1)
    metric: Metric = "p50"
    limits: Limits = Limits()
    runtime: str = ""
    """The name of the one that runs both files; empty: that which they are for."""

    def filled(self, given: Terms) -> Terms:
        """These, with those keys in their place that `given` was really given, each limit by itself."""
        limits = self.limits.model_copy(update=_given(given.limits, Limits))
        return Terms.model_validate(self.model_dump() | _given(given, Terms) | {"limits": limits})


def _given(value: Frozen, schema: type[Frozen]) -> dict[str, object]:
    """What of a schema's keys somebody wrote down, be it the default's own value."""
    return {name: getattr(value, name) for name in schema.model_fields if name in value.model_fields_set}


class Entry(Terms):
    """One `[[case]]`; paths are relative to the suite's file."""

    name: str = Field(min_length=1)
    base: str
    candidate: str
    device: str = ""
    """The URI of its own device."""


class Suite(Frozen):
    """The file."""

    case: tuple[Entry, ...] = Field(min_length=1)


def open_suite(path: Path, *, force: bool, terms: Terms | None = None) -> list[Case]:
    """Every case of a suite, opened, and each device that they name, once; `terms` hold where a case gives none.

    Raises `InputError` with file, place and key, and for two cases of one name; `MissingError` where a device
    cannot be reached.
    """
    entries, folder = read_file(Suite, "suite", path).case, path.parent
    if twice := [name for name, count in Counter(entry.name for entry in entries).items() if count > 1]:
        raise InputError(
            f"{path} has more than one case named {', '.join(twice)}", hint="reports go by the names"
        )
    cases = [_opened(entry, folder, terms or Terms(), force=force) for entry in entries]
    named = {entry.device for entry in entries if entry.device}
    devices: dict[str, Device | None] = {uri: open_device(uri) for uri in sorted(named)}
    return [
        replace(case, device=devices.get(entry.device)) for case, entry in zip(cases, entries, strict=True)
    ]


def _opened(entry: Entry, folder: Path, terms: Terms, *, force: bool) -> Case:
    held = terms.filled(entry)
    return open_case(
        folder / entry.base,
        folder / entry.candidate,
        max_regression=held.max_regression,
        metric=held.metric,
        limits=held.limits,
        name=entry.name,
        runtime=held.runtime,
        force=force,
    )
