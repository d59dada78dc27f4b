"""The open parts of reports, targets and recipes (any JSON value) as names and texts for a reader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

LONG: Final = 8
SENTENCE: Final = 40
"""A text with more characters is not put into a row of others."""
NONE: Final = "–"
"""A figure that was not taken."""


@dataclass(frozen=True)
class Fact:
    """A name with a value, or with more facts below it."""

    name: str
    value: str = ""
    facts: tuple[Fact, ...] = ()

    @property
    def long(self) -> bool:
        """Whether a page should fold it away."""
        return len(self.facts) > LONG


def fact(name: str, value: Any) -> Fact:
    """Any value of a report's open parts (details, versions, device state) as names and texts."""
    if isinstance(value, Mapping):
        facts = tuple(fact(str(key), entry) for key, entry in value.items())
        return Fact(name, facts=facts) if facts else Fact(name, "none")
    if isinstance(value, list | tuple) and any(_needs_a_line(entry) for entry in value):
        facts = tuple(fact(str(place), entry) for place, entry in enumerate(value, start=1))
        return Fact(name, facts=facts)
    if isinstance(value, list | tuple):
        return Fact(name, ", ".join(scalar(entry) for entry in value) or "none")
    return Fact(name, scalar(value))


def _needs_a_line(entry: Any) -> bool:
    return isinstance(entry, Mapping | list | tuple) or (isinstance(entry, str) and len(entry) > SENTENCE)


def scalar(value: Any) -> str:
    """A number or a word as a reader wants it."""
    if value is None:
        return NONE
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    return f"{value:.4g}" if isinstance(value, float) else str(value) or NONE
