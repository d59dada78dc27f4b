"""`profile`: what a network costs before anybody trains it, and how fast a file runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from edgekit.artifact import MANIFEST, ArtifactFolder, load_artifact
from edgekit.bench import Candidate, compare, fastest, float_candidates
from edgekit.devices import Device, open_device
from edgekit.exporters import export
from edgekit.graph.advice import Advice
from edgekit.graph.cost import Cost
from edgekit.graph.roofline import Roofline
from edgekit.measurement import Profile
from edgekit.model import Model, Task
from edgekit.pipeline.network import new_model, preprocessing_of
from edgekit.pipeline.static import static_of_file, static_of_network
from edgekit.progress import Progress, Silent
from edgekit.request import Size
from edgekit.target import Target, load_target
from edgekit.zoo import architecture
from edgekit.zoo.program import SUFFIX

RUNTIME_OF = {"onnx": "onnxruntime", "openvino": "openvino", "tflite": "litert"}
"""What opens a file of each format where no target says otherwise."""


@dataclass(frozen=True)
class CostProfile:
    """The static side and the measured side (None where nothing was run)."""

    name: str
    cost: Cost | None
    latency: Profile | None
    rooflines: tuple[Roofline, ...] = ()
    """The least time on the target, by precision: estimates."""
    advice: tuple[Advice, ...] = ()

    def document(self) -> dict[str, Any]:
        """The profile as `--json` prints it."""
        static = asdict(self.cost) if self.cost else {}
        return {
            "name": self.name,
            **static,
            "rooflines": [asdict(found) for found in self.rooflines],
            "advice": [asdict(found) for found in self.advice],
            "latency": self.latency.summary() if self.latency else None,
        }


def profile(
    model: str | Path,
    *,
    target: str | None = None,
    input_size: Size | None = None,
    width: float = 1.0,
    factory_arg: Sequence[str] = (),
    task: Task | None = None,
    num_classes: int | None = None,
    threads: int = 2,
    device: str = "local",
    progress: Progress | None = None,
) -> CostProfile:
    """The static cost of a network (as `compress` takes it) or of a file, with advice; the latency of an artifact.

    A network is counted at (1, C, H, W), by default its published size, a `.pt2` file's own, or 224; with a target it
    also gets floors on it (estimates) and the latency of its float file (random weights, or those of the `.pt2` file),
    in the fastest precision of the target's runtime here. An ONNX, OpenVINO IR or .tflite file without a manifest is
    only counted. Raises the errors of `edgekit.errors`.
    """
    goal = load_target(target) if target else None
    bench = _Bench(open_device(device), goal, threads, progress or Silent())
    path = Path(model)
    if path.is_file() and path.suffix != SUFFIX and not (path.parent / MANIFEST).is_file():
        static = static_of_file(path, goal)
        return CostProfile(path.name, static.cost, None, static.rooflines, static.advice(goal))
    if path.is_dir() or (path.is_file() and path.suffix != SUFFIX):
        artifact = load_artifact(path)
        static = static_of_file(artifact.model_path, goal)
        return CostProfile(
            artifact.manifest.model, static.cost, bench.file(artifact), static.rooflines, static.advice(goal)
        )
    found = architecture(str(model), factory_arg, task)
    network = new_model(found, preprocessing_of(found, input_size), num_classes=num_classes, width=width)
    static = static_of_network(network, goal)
    latency = None if goal is None else bench.network(network, goal)
    return CostProfile(network.name, static.cost, latency, static.rooflines, static.advice(goal))


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
            [Candidate("int8", artifact, runtime, dict(artifact.manifest.runtime_options))]
            if int8
            else float_candidates(artifact, runtime, self.device)
        )
        # On a machine that is not the target its runtime is a proxy; without a target this machine was asked for.
        source: Literal["measured", "proxy"] = (
            "measured" if self.goal is None or self.goal.is_host else "proxy"
        )
        measured = compare(own, self.device, threads=self.threads, progress=self.progress, source=source)
        return fastest(own, measured)[1]

    def network(self, network: Model, goal: Target) -> Profile:
        """The float file of a network, made for the purpose."""
        inputs = np.random.default_rng(0).standard_normal(network.input_shape).astype(np.float32)
        self.progress.say(f"exporting {network.name} to {goal.format}")
        with TemporaryDirectory() as name:
            return self.file(export(network, goal, Path(name), inputs))
