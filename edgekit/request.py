"""What a user asks for; importing it costs nothing."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Request:
    """The options of `edgekit compress`, by the same names; None leaves a choice to the recipe or the target."""

    model: str
    target: str
    recipe: str | None = None
    data: Path | None = None
    weights: Path | None = None
    out: Path | None = None
    input_size: int | None = None
    width: float = 1.0
    seed: int = 0
    threads: int = 2
    device: str = "local"
    resume: bool = False
    force: bool = False
    skip_bad: bool = False
    max_accuracy_drop: float | None = None
    max_latency_ms: float | None = None
    max_macs: float | None = None
