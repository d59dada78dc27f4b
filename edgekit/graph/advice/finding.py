"""What rules say, and where they are broken."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Rule:
    """A rule, with the paper or the document that it comes from."""

    name: str
    says: str
    source: str


@dataclass(frozen=True)
class Finding:
    """One place: the layers by their names, and what is the matter with them."""

    layers: tuple[str, ...]
    what: str
