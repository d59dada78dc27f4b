"""The networks that edgekit knows by name: one file a family, and a catalogue that needs no torch."""

from __future__ import annotations

from edgekit.zoo.entries import Entry, catalogue
from edgekit.zoo.registry import build

__all__ = ["Entry", "build", "catalogue"]
