"""Small artifacts and a device that times them from a script."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

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
        slower = self.ratio if "candidate" in job.model_files[0].parts[-2] else 1.0
        centre = 1e6 * slower * np.exp(self.random.normal(0, 0.005))
        samples = (centre * (1 + self.random.gamma(2, 0.01, 40))).astype(int).tolist()
        values = {
            "samples_ns": samples,
            "warmup_ns": [1],
            "load_ns": 1,
            "clock_ns": 1,
            "peak_rss_bytes": 10**8,
        }
        return Answer({**values, "version": "1.0", "executed": EXECUTED})

    def state(self) -> DeviceState:
        facts = {"uptime_s": str(float(self.calls)), "cpu_pressure_us": str(self.pressure), "cpu": "script"}
        return DeviceState(facts=facts)


def artifact(folder: Path, *, model: str = "net", size: int = 100, side: int = 4) -> Path:
    folder.mkdir(parents=True)
    (folder / "model.onnx").write_bytes(bytes(size))
    Artifact(
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
    ).at(folder).write()
    return folder
