"""`profile`: what a network costs before anybody trains it, and how fast a file runs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np

from edgekit.artifact import ArtifactFolder, load_artifact
from edgekit.bench import Candidate, compare, fastest, float_candidates
from edgekit.devices import Device, open_device
from edgekit.exporters import export
from edgekit.graph.cost import Cost, cost
from edgekit.measurement import Profile
from edgekit.model import Model, Task
from edgekit.pipeline.layer_times import KnownLayers, layer_times, layers_of_run, required
from edgekit.pipeline.network import new_model, preprocessing_of
from edgekit.progress import Progress, Silent
from edgekit.report import LayerTimes
from edgekit.request import Size
from edgekit.target import Target, load_target
from edgekit.zoo import architecture
from edgekit.zoo.program import SUFFIX

RUNTIME_OF = {"onnx": "onnxruntime", "openvino": "openvino", "tflite": "litert"}
"""What opens a file of each format where no target says otherwise."""


@dataclass(frozen=True)
class CostProfile:
    """The static side (None for a bare file) and the measured side (None where nothing was run)."""

    name: str
    cost: Cost | None
    latency: Profile | None
    layer_times: LayerTimes | None = None
    """Only where they were asked for and something was run."""

    def document(self) -> dict[str, Any]:
        """The profile as `--json` prints it."""
        static = asdict(self.cost) if self.cost else {}
        return {
            "name": self.name,
            **static,
            "latency": self.latency.summary() if self.latency else None,
            "layer_times": self.layer_times.model_dump(mode="json") if self.layer_times else None,
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
    layers: bool = False,
    progress: Progress | None = None,
) -> CostProfile:
    """The cost of a network (as `compress` takes it), or the latency of an artifact or a run's folder.

    For a network, MACs, parameters, memory access (bytes) and receptive field at (1, C, H, W), by default its
    published size, a `.pt2` file's own, or 224; with a target also the latency of its float file (random weights,
    or those of the `.pt2` file), in the fastest precision of the target's runtime here. With `layers` also the time
    of each layer, from a pass of its own. Raises the errors of `edgekit.errors`.
    """
    goal = load_target(target) if target else None
    bench = _Bench(open_device(device), goal, threads, progress or Silent(), by_layer=layers)
    path = Path(model)
    if path.is_dir() or (path.is_file() and path.suffix != SUFFIX):
        artifact = load_artifact(path)
        return CostProfile(artifact.manifest.model, None, *bench.file(artifact, layers_of_run(path)))
    found = architecture(str(model), factory_arg, task)
    network = new_model(found, preprocessing_of(found, input_size), num_classes=num_classes, width=width)
    spent = cost(network.module, network.input_shape)
    measured = (None, None) if goal is None else bench.network(network, goal, spent.layers)
    return CostProfile(network.name, spent, *measured)


@dataclass(frozen=True)
class _Bench:
    """Where and how the files of one profile are measured."""

    device: Device
    goal: Target | None
    threads: int
    progress: Progress
    by_layer: bool

    def file(self, artifact: ArtifactFolder, layers: KnownLayers) -> tuple[Profile, LayerTimes | None]:
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
        best, found = fastest(own, measured)
        if not self.by_layer:
            return found, None
        self.progress.say(f"timing each layer in {runtime}")
        times = layer_times(best, self.device, layers, threads=self.threads, source=found.where)
        return found, required(times, runtime)

    def network(self, network: Model, goal: Target, layers: KnownLayers) -> tuple[Profile, LayerTimes | None]:
        """The float file of a network, made for the purpose."""
        inputs = np.random.default_rng(0).standard_normal(network.input_shape).astype(np.float32)
        self.progress.say(f"exporting {network.name} to {goal.format}")
        with TemporaryDirectory() as name:
            return self.file(export(network, goal, Path(name), inputs), layers)
