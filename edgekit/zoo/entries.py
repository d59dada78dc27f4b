"""What the zoo holds, read from a file that is generated from the zoo, so that listing needs no torch."""

from __future__ import annotations

import math
from pathlib import Path

from pydantic import TypeAdapter

from edgekit.errors import InputError
from edgekit.frozen import Frozen
from edgekit.model import Task

CATALOGUE = Path(__file__).with_name("catalogue.json")


class Entry(Frozen):
    """A network as published: counts at `input_shape` (N, C, H, W) and `num_classes`, width 1."""

    name: str
    family: str
    variant: str
    """Which of its family it is; empty where there is only one."""
    task: Task
    params: int
    macs: int
    receptive_field: tuple[int, int]
    """Input pixels (height, width) that one output sees through convolutions and poolings, but for global ones."""
    input_shape: tuple[int, int, int, int]
    least_input: int
    """The least height and width that it takes."""
    num_classes: int
    input_multiple: int
    """What height and width of the input must be multiples of."""
    scalable: bool
    """Whether it takes a width multiplier."""
    accuracy: float | None
    """Published top-1 (or IoU), in percent."""
    accuracy_source: str


ENTRIES = TypeAdapter(list[Entry])


def check_input(entry: Entry, height: int, width: int) -> None:
    """Raise `InputError` for an input that the network cannot take."""
    least, step = entry.least_input, entry.input_multiple
    if height % step or width % step:
        fitting = "x".join(str(math.ceil(side / step) * step) for side in (height, width))
        raise InputError(
            f"{entry.name} takes heights and widths that are multiples of {step}, not {height}×{width}: what it "
            "halves on the way down must meet what it doubles on the way up",
            hint=f"--input-size {fitting}, for one",
        )
    if min(height, width) < least:
        raise InputError(
            f"{entry.name} takes no input below {least}×{least}, and this is {height}×{width}: before its last "
            "stride or pooling nothing would be left to reduce",
            hint=f"--input-size {least} or more",
        )


def catalogue() -> list[Entry]:
    """Every network of the zoo, by name (`python -m edgekit.catalogue` writes it anew)."""
    return ENTRIES.validate_json(CATALOGUE.read_bytes())
