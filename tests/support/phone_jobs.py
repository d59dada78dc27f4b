"""What tests of a phone share: how one is connected, and a job for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import tflite_files

from edgekit.devices import Array, Job
from edgekit.runtimes import find

Connect = Callable[..., str]
"""A phone's folder, and the state that adb shall see it in → its serial number."""
SIDE = 128
LIMITS = {"warmup_seconds": 0.02, "min_seconds": 0.05, "max_seconds": 2.0, "min_samples": 10}


def job(
    folder: Path,
    mode: Literal["latency", "predict"] = "latency",
    *,
    name: str = "model.tflite",
    timeout_s: float = 60,
) -> Job:
    """A short one, of a file that is made where it is not there."""
    path = folder / name
    if not path.exists():
        path.write_bytes(tflite_files.relu(SIDE))
    return Job(mode, find("litert").file, (path,), 2, {"layout": "NHWC"}, LIMITS, timeout_s)


def inputs() -> Array:
    return np.zeros((1, 16, SIDE, SIDE), np.float32)
