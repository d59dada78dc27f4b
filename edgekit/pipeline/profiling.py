"""`profile`: what a network costs before anybody trains it, and how fast a file runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from edgekit.artifact import ArtifactFolder, load_artifact
from edgekit.bench import Candidate, Failure, compare, float_candidates
from edgekit.devices import Device, open_device
from edgekit.errors import MeasurementError
from edgekit.exporters import export
from edgekit.graph.cost import Cost, cost
from edgekit.measurement import Profile
from edgekit.model import Model
from edgekit.pipeline.network import zoo_model
from edgekit.progress import Progress, Silent
from edgekit.target import Target, load_target

RUNTIME_OF = {"onnx": "onnxruntime", "openvino": "openvino", "tflite": "litert"}
"""What opens a file of each format where no target says otherwise."""


@dataclass(frozen=True)
class CostProfile:
    """The static side (None for a bare file) and the measured side (None where nothing was run)."""

    name: str
    cost: Cost | None
    latency: Profile | None

    def document(self) -> dict[str, Any]:
        """The profile as `--json` prints it."""
        static = asdict(self.cost) if self.cost else {}
        return {"name": self.name, **static, "latency": self.latency.summary() if self.latency else None}


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
    """The cost of a zoo network, or the latency of an artifact or a run's folder.

    For a name, MACs, parameters, memory access (bytes) and receptive field at (1, 3, input_size, input_size); with
    a target also the latency of its float file with random weights, in the fastest precision of the target's
    runtime here. Raises the errors of `edgekit.errors`.
    """
    goal = load_target(target) if target else None
    bench = _Bench(open_device(device), goal, threads, progress or Silent())
    path = Path(model)
    if path.exists():
        artifact = load_artifact(path)
        return CostProfile(artifact.manifest.model, None, bench.file(artifact))
    network = zoo_model(str(model), input_size=input_size, width=width, num_classes=num_classes)
    spent = cost(network.module, network.input_shape)
    return CostProfile(network.name, spent, None if goal is None else bench.network(network, goal))


@dataclass(frozen=True)
class _Bench:
    """Where and how the files of one profile are measured."""

    device: Device
    goal: Target | None
    threads: int
    progress: Progress

    def file(self, artifact: ArtifactFolder) -> Profile:
        """A shipped file: INT8 as it is, float in the fastest precision that its runtime has."""
        runtime = self.goal.proxy_runtime if self.goal else RUNTIME_OF[artifact.manifest.format]
        int8 = artifact.manifest.precision == "int8"
        own = (
            [Candidate("int8", artifact, runtime)]
            if int8
            else float_candidates(artifact, runtime, self.device)
        )
        # On a machine that is not the target its runtime is a proxy; without a target this machine was asked for.
        source: Literal["measured", "proxy"] = (
            "measured" if self.goal is None or self.goal.is_host else "proxy"
        )
        measured = compare(own, self.device, threads=self.threads, progress=self.progress, source=source)
        profiles = [outcome for outcome in measured.values() if isinstance(outcome, Profile)]
        if not profiles:
            reasons = (
                f"{name}: {outcome.reason}"
                for name, outcome in measured.items()
                if isinstance(outcome, Failure)
            )
            raise MeasurementError(f"{runtime} failed on {artifact.model_path}: {'; '.join(reasons)}")
        return min(profiles, key=lambda found: found.p50_ms)

    def network(self, network: Model, goal: Target) -> Profile:
        """The float file of a network, made for the purpose."""
        inputs = np.random.default_rng(0).standard_normal(network.input_shape).astype(np.float32)
        self.progress.say(f"exporting {network.name} to {goal.format}")
        with TemporaryDirectory() as name:
            return self.file(export(network, goal, Path(name), inputs))
