"""`profile`: what a network costs before anybody trains it, and how fast a file runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from edgekit.artifact import ArtifactFolder, load_artifact
from edgekit.bench import Candidate, float_candidates, measure
from edgekit.devices import Device, open_device
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


def profile(model: str | Path, *, target: str | None = None, input_size: int = 224, width: float = 1.0, num_classes: int = 1000,
            threads: int = 2, device: str = "local", progress: Progress | None = None) -> CostProfile:
    """The cost of a zoo network, or the latency of an artifact or a run's folder.

    For a name, MACs, parameters, memory access (bytes) and receptive field at (1, 3, input_size, input_size); with
    a target also the latency of its float file with random weights, in the fastest precision of the target's
    runtime here. Raises the errors of `edgekit.errors`.
    """
    where, show = open_device(device), progress or Silent()
    goal = load_target(target) if target else None
    path = Path(model)
    if path.exists():
        artifact = load_artifact(path)
        return CostProfile(artifact.manifest.model, None, _file(artifact, goal, where, threads, show))
    network = zoo_model(str(model), input_size=input_size, width=width, num_classes=num_classes)
    spent = cost(network.module, network.input_shape)
    measured = None if goal is None else _float(network, goal, where, threads, show)
    return CostProfile(network.name, spent, measured)


def _file(artifact: ArtifactFolder, goal: Target | None, device: Device, threads: int, progress: Progress) -> Profile:
    runtime = goal.proxy_runtime if goal else RUNTIME_OF[artifact.manifest.format]
    if artifact.manifest.precision == "int8":
        own = Candidate("int8", artifact, runtime)
        return measure(own, device, threads=threads, progress=progress, source=_source(goal))
    return _fastest(artifact, runtime, goal, device, threads, progress)


def _float(network: Model, goal: Target, device: Device, threads: int, progress: Progress) -> Profile:
    with TemporaryDirectory() as name:
        inputs = np.random.default_rng(0).standard_normal(network.input_shape).astype(np.float32)
        progress.say(f"exporting {network.name} to {goal.format}")
        artifact = export(network, goal, Path(name), inputs)
        return _fastest(artifact, goal.proxy_runtime, goal, device, threads, progress)


def _fastest(artifact: ArtifactFolder, runtime: str, goal: Target | None, device: Device, threads: int,
             progress: Progress) -> Profile:
    profiles = [measure(candidate, device, threads=threads, progress=progress, source=_source(goal))
                for candidate in float_candidates(artifact, runtime, device)]
    return min(profiles, key=lambda found: found.p50_ms)


def _source(goal: Target | None) -> Literal["measured", "proxy"]:
    """On a machine that is not the target, its runtime is a proxy; without a target this machine is what was asked."""
    return "measured" if goal is None or goal.is_host else "proxy"
