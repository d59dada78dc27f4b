"""What a user asks for; importing it costs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.model import Task

Size = int | tuple[int, int]
"""Pixels: (height, width), or one number for both."""


def height_width(size: Size) -> tuple[int, int]:
    """Both sides of a size."""
    return (size, size) if isinstance(size, int) else size


@dataclass(frozen=True)
class Request:
    """The options of `edgekit compress`, by the same names; None leaves a choice to the recipe or the target."""

    model: str
    target: str
    recipe: str | None = None
    data: Path | None = None
    weights: Path | str | None = None
    """A file, or `hf:REPO[@REVISION][/FILE]`."""
    out: Path | None = None
    input_size: Size | None = None
    width: float = 1.0
    factory_arg: tuple[str, ...] = ()
    """`key=value` for a network of the user's own."""
    task: Task | None = None
    """Of such a network; a network of the zoo has its own."""
    seed: int = 0
    threads: int = 2
    batch: int = 1
    """Pictures that the shipped file takes at once."""
    device: str = "local"
    resume: bool = False
    force: bool = False
    skip_bad: bool = False
    max_accuracy_drop: float | None = None
    max_latency_ms: float | None = None
    max_macs: float | None = None
