"""The time of each operator of a file: a pass of its own, so that no profiler slows what is reported as latency."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from edgekit.bench.candidate import Candidate, installed, job
from edgekit.bench.latency import input_of
from edgekit.bench.layer_trtexec import read_trtexec
from edgekit.devices import Answer, Device, Failure
from edgekit.errors import InputError
from edgekit.operators import OperatorTime

if TYPE_CHECKING:
    from collections.abc import Mapping

LIMITS: Mapping[str, float] = {
    "warmup_seconds": 0.3,
    "min_seconds": 0,
    "max_seconds": 3.0,
    "min_samples": 200,
}
"""How long: so many inferences, or so many seconds of them."""
TIMEOUT_S = 120.0
ENGINE_SECONDS = 0.3
"""What trtexec's own loop takes at least: its warm-up is a share of that."""


@dataclass(frozen=True)
class Timed:
    """An inference under the runtime's profiler."""

    operators: tuple[OperatorTime, ...]
    """In the order in which they ran."""
    inference_ns: float
    inferences: int
    runtime_version: str


def time_operators(
    candidate: Candidate, device: Device, *, threads: int, limits: Mapping[str, float] = LIMITS
) -> Timed | Failure:
    """Nanoseconds of each operator of a file in its runtime, on the artifact's first known input.

    Raises `InputError` for an unknown runtime or option, `MissingError` where the runtime is not installed.
    """
    engine = candidate.runtime == "tensorrt"  # its own loop exports a profile each time that it is measured
    mode: Literal["latency", "layers"] = "latency" if engine else "layers"
    if engine:
        limits = {**limits, "min_seconds": max(limits["min_seconds"], ENGINE_SECONDS)}
    work = job(mode, candidate, threads=threads, timeout_s=TIMEOUT_S, limits=limits, keep=engine)
    outcome = installed(device.call(work, input_of(candidate.artifact)), candidate.runtime)
    if isinstance(outcome, Failure):
        return outcome
    return of_engine(outcome) if engine else timed(outcome.values)


def of_engine(answer: Answer) -> Timed | Failure:
    """Times of an engine's layers, as trtexec's profiler took them; an inference is their sum, without transfers."""
    kept = {
        kind: content.decode(errors="replace")
        for name, content in answer.kept.items()
        for kind in ("profile", "layers")
        if name.endswith(f".{kind}.json")
    }
    if "profile" not in kept:
        return Failure("error", "trtexec left no profile of the engine's layers")
    try:
        operators, count = read_trtexec(kept["profile"], kept.get("layers", ""))
    except InputError as error:
        return Failure("error", error.what)
    spent_ns = sum(operator.time_ns for operator in operators)
    return Timed(tuple(operators), spent_ns, count, str(answer.values["version"]))


def timed(answer: Mapping[str, Any]) -> Timed:
    """Times from what the runner wrote: each inference's, or their mean where the runtime keeps no more.

    Of single ones the mean over the half of the inferences that lies in the middle: a process that was interrupted
    says nothing of the operator that it was at.
    """
    walls = np.asarray(answer["samples_ns"], dtype=np.float64)
    single = all(len(operator["times_ns"]) == len(walls) for operator in answer["operators"])
    cut = len(walls) // 4 if single else 0
    chosen = np.argsort(walls, kind="stable")[cut : len(walls) - cut]
    return Timed(
        operators=tuple(
            OperatorTime(
                name=operator["name"],
                kind=operator["kind"],
                parts=tuple(operator["parts"]),
                time_ns=float(np.mean(np.asarray(operator["times_ns"])[chosen if single else slice(None)])),
            )
            for operator in answer["operators"]
        ),
        inference_ns=float(walls[chosen].mean()),
        inferences=len(chosen),
        runtime_version=str(answer["version"]),
    )
