"""Small artifacts and a device that times them from a script."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgekit import files
from edgekit.artifact import Artifact, TensorSpec
from edgekit.devices import Answer, Array, Failure, Job
from edgekit.errors import MissingError
from edgekit.measurement import DeviceState
from edgekit.model import Preprocessing

EXECUTED = {"operators": {"Conv": 2}, "integer_operators": 2, "float_operators": 0, "float_precision": "f32"}


class Noisy:
    """A device on which a file takes 1 ms, give or take; the candidate's files take `ratio` times as long."""

    name = "noisy"

    def __init__(
        self, ratio: float = 1.0, *, spread: float = 0.005, busy: Callable[[int], bool] = lambda _: False
    ) -> None:
        self.ratio, self.spread, self.busy = ratio, spread, busy
        self.random = np.random.default_rng(0)
        self.calls = 0
        self.pressure = 0.0
        self.gone_after = 10_000

    def call(self, job: Job, inputs: Array | None = None) -> Answer | Failure:
        assert inputs is not None
        self.calls += 1
        if self.calls > self.gone_after:
            raise MissingError("noisy went away")
        if self.busy(self.calls):
            self.pressure += 1e6
        if job.mode == "predict":
            return Answer({}, np.ones((len(inputs), 2), np.float32) + self.wrong(job))
        return Answer({**self.values(job), "executed": EXECUTED})

    def call_together(
        self, jobs: Sequence[Job], inputs: Sequence[Array], turns: int
    ) -> list[Answer | Failure]:
        assert turns > 1
        assert all("turn_seconds" in job.limits for job in jobs)
        return [self.call(job, images) for job, images in zip(jobs, inputs, strict=True)]

    def wrong(self, job: Job) -> float:
        """What is added to a file's known answers, all ones."""
        return 0.0

    def values(self, job: Job) -> dict[str, Any]:
        """What the runner says of one process."""
        slower = self.ratio if is_candidate(job) else 1.0
        slower *= 1 + job.limits.get("slowdown", 0.0)
        centre = 1e6 * slower * np.exp(self.random.normal(0, self.spread))
        samples = (centre * (1 + self.random.gamma(2, 0.01, 40))).astype(int).tolist()
        return {
            "samples_ns": samples,
            "warmup_ns": [1],
            "load_ns": 1,
            "clock_ns": 1,
            "peak_rss_bytes": 10**8,
            "version": "1.0",
        }

    def state(self) -> DeviceState:
        facts = {"uptime_s": str(float(self.calls)), "cpu_pressure_us": str(self.pressure), "cpu": "script"}
        return DeviceState(facts=facts)


def is_candidate(job: Job) -> bool:
    return "candidate" in job.model_files[0].parts[-2]


def artifact(
    folder: Path, *, model: str = "net", size: int = 100, side: int = 4, known: bool = True, **changed: Any
) -> Path:
    """A folder with a manifest; `changed` are fields of it, `known` whether there are known answers."""
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(bytes(size))
    if known:
        inputs, outputs = np.zeros((3, 3, side, side), np.float32), np.ones((3, 2), np.float32)
        np.savez(folder / "parity.npz", inputs=inputs, outputs=outputs)
    manifest = Artifact(
        model=model,
        task="classification",
        format="onnx",
        precision="int8",
        model_file="model.onnx",
        sha256={"model.onnx": files.sha256(folder / "model.onnx")},
        inputs=(TensorSpec(name="x", shape=(1, 3, side, side), dtype="float32", layout="NCHW"),),
        outputs=(TensorSpec(name="y", shape=(1, 2), dtype="float32", layout="NC"),),
        preprocessing=Preprocessing(height=side, width=side, mean=(0, 0, 0), std=(1, 1, 1)),
        labels=("a", "b"),
    )
    manifest.model_copy(update=changed).at(folder).write()
    return folder
