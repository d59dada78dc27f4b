"""What the zoo holds, read from a file that is generated from the zoo, so that listing needs no torch."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from edgekit.frozen import Frozen
from edgekit.model import Task

CATALOGUE = Path(__file__).with_name("catalogue.json")


class Entry(Frozen):
    """A network as published: counts at `input_shape` (N, C, H, W) and `num_classes`, width 1."""

    name: str
    family: str
    task: Task
    params: int
    macs: int
    input_shape: tuple[int, int, int, int]
    num_classes: int
    scalable: bool
    """Whether it takes a width multiplier."""
    accuracy: float | None
    """Published top-1 (or IoU), in percent."""
    accuracy_source: str


ENTRIES = TypeAdapter(list[Entry])


def catalogue() -> list[Entry]:
    """Every network of the zoo, by name (`python -m edgekit.catalogue` writes it anew)."""
    return ENTRIES.validate_json(CATALOGUE.read_bytes())
