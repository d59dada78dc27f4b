"""Outputs of a shipped file, computed by its runtime in child processes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.bench.candidate import Candidate, installed, job, succeeded
from edgekit.errors import InputError, MeasurementError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.artifact import ArtifactFolder
    from edgekit.data.split import Split
    from edgekit.devices import Array, Device

CHUNK_BYTES = 128 * 1024 * 1024
CHUNK_INPUTS = 512
"""What one process gets: bounded in bytes for the disk's sake, in number so that a hang is noticed soon."""
INPUT_SECONDS = 0.25
"""Longer for one inference, on average, counts as a hang."""


def predict(
    artifact: ArtifactFolder,
    runtime: str,
    inputs: Array,
    device: Device,
    *,
    threads: int = 1,
    options: Mapping[str, str] | None = None,
    timeout_s: float = 60.0,
) -> Array:
    """Outputs (n, ...) of float32 inputs (n, C, H, W).

    Raises `MeasurementError` where the runtime crashes, hangs (`timeout_s` for a process, and 0.25 s for each
    input) or gives values that are not finite; `MissingError` where it is not installed.
    """
    if not len(inputs):
        raise InputError("nothing to predict: there are no inputs")
    candidate = Candidate(artifact.manifest.model, artifact, runtime, options or {})
    size = min(max(1, CHUNK_BYTES // (inputs[0].size * 4)), CHUNK_INPUTS)
    outputs = []
    for start in range(0, len(inputs), size):
        chunk = np.ascontiguousarray(inputs[start : start + size], dtype=np.float32)
        limit_s = timeout_s + INPUT_SECONDS * len(chunk)
        work = job("predict", candidate, threads=threads, timeout_s=limit_s, limits={})
        answer = succeeded(installed(device.call(work, chunk), runtime), candidate.name)
        if answer.outputs is None or len(answer.outputs) != len(chunk):
            raise MeasurementError(f"{candidate.name}: {runtime} did not give one output for each input")
        outputs.append(answer.outputs)
    return np.concatenate(outputs)


def predict_split(
    artifact: ArtifactFolder,
    runtime: str,
    split: Split,
    device: Device,
    *,
    threads: int = 1,
    options: Mapping[str, str] | None = None,
) -> Array:
    """`predict` for a whole split, (n, ...) in its order, of whose pictures few are in memory at a time."""
    places = np.array_split(np.arange(len(split)), max(1, -(-len(split) // CHUNK_INPUTS)))
    parts = [
        predict(artifact, runtime, split.images(some), device, threads=threads, options=options)
        for some in places
    ]
    return np.concatenate(parts)
