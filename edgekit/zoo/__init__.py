"""The networks that edgekit knows by name, one file a family, and those that a user brings."""

from __future__ import annotations

from edgekit.zoo.entries import Entry, catalogue, check_input
from edgekit.zoo.resolve import Architecture, architecture, build

__all__ = ["Architecture", "Entry", "architecture", "build", "catalogue", "check_input"]
