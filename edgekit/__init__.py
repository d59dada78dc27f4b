"""edgekit compresses a vision network for an edge device, exports it, and proves that it still works.

`compress` is the whole run, `load` opens what it left, `profile` says what a network costs.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.request import Request

if TYPE_CHECKING:
    from edgekit.model import Model
    from edgekit.pipeline.profiling import CostProfile
    from edgekit.progress import Progress
    from edgekit.report import Report

__all__ = ["Request", "compress", "load", "profile"]


def compress(request: Request, progress: Progress | None = None) -> Report:
    """Compress a network for a target: `compress(Request("mobilenetv2", target="jetson"))`.

    Gives the report that `OUT/report.json` holds. Raises the errors of `edgekit.errors`; a missed budget is
    no error here: see `Report.budget_failures`.
    """
    from edgekit import pipeline

    return pipeline.compress(pipeline.resolve(request), progress).report


def load(path: str | Path) -> Model:
    """The network of a run's folder (its last kept step) or of one checkpoint, as a `Model` in eval mode."""
    from edgekit.pipeline.exporting import load as load_any

    return load_any(path)


def profile(
    model: str | Path,
    *,
    target: str | None = None,
    input_size: int = 224,
    width: float = 1.0,
    num_classes: int = 1000,
    threads: int = 2,
    device: str = "local",
    progress: Progress | None = None,
) -> CostProfile:
    """What a zoo network costs at (1, 3, input_size, input_size), or how fast an artifact runs."""
    from edgekit.pipeline.profiling import profile as run

    return run(
        model,
        target=target,
        input_size=input_size,
        width=width,
        num_classes=num_classes,
        threads=threads,
        device=device,
        progress=progress,
    )
