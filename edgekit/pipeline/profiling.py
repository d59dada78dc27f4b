"""`profile`: what a network costs before anybody trains it, and how fast a file runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edgekit import runtimes
from edgekit.artifact import ArtifactFolder, load_artifact
from edgekit.bench import Candidate, Failure, compare, disturbance, fastest, float_candidates
from edgekit.devices import open_device
from edgekit.exporters import export
from edgekit.graph.cost import Cost, cost
from edgekit.measurement import Profile
from edgekit.model import Model, Task
from edgekit.pipeline.network import new_model, preprocessing_of
from edgekit.pipeline.place import Place, place_of
from edgekit.progress import Progress, Silent
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
    rivals: Mapping[str, Profile | Failure] = field(default_factory=dict)
    """What was measured side by side with it: the network in other precisions."""

    def document(self) -> dict[str, Any]:
        """The profile as `--json` prints it."""
        static = asdict(self.cost) if self.cost else {}
        rivals = {
            name: {"failed": one.reason} if isinstance(one, Failure) else one.summary()
            for name, one in self.rivals.items()
        }
        latency = self.latency.summary() if self.latency else None
        told = {"latency": latency, "rivals": rivals, "warnings": self.warnings}
        return {"name": self.name, **static, **told}

    @property
    def warnings(self) -> list[str]:
        """What speaks against the latency without making it invalid."""
        found = disturbance(self.latency.before, self.latency.after) if self.latency else ""
        return [f"the machine was not quiet while latency was measured: {found}"] if found else []


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
    keep: Path | None = None,
    progress: Progress | None = None,
) -> CostProfile:
    """The cost of a network (as `compress` takes it), or the latency of an artifact or a run's folder.

    For a network, MACs, parameters, memory access (bytes) and receptive field at (1, C, H, W), by default its
    published size, a `.pt2` file's own, or 224; with a target also the latency of its float file (random weights,
    or those of the `.pt2` file), in the fastest precision of the target's runtime here. What the runtime made on the
    device, an engine for one, comes into `keep`. Raises the errors of `edgekit.errors`.
    """
    goal = load_target(target) if target else None
    open_device(device)  # an address that is none is refused before anything is counted
    bench = _Bench(device, goal, threads, keep, progress or Silent())
    path = Path(model)
    if path.is_dir() or (path.is_file() and path.suffix != SUFFIX):
        artifact = load_artifact(path)
        return CostProfile(artifact.manifest.model, None, *bench.file(artifact))
    found = architecture(str(model), factory_arg, task)
    network = new_model(found, preprocessing_of(found, input_size), num_classes=num_classes, width=width)
    spent = cost(network.module, network.input_shape)
    return CostProfile(network.name, spent, *((None,) if goal is None else bench.network(network, goal)))


@dataclass(frozen=True)
class _Bench:
    """Where and how the files of one profile are measured."""

    uri: str
    goal: Target | None
    threads: int
    keep: Path | None
    progress: Progress

    def file(self, artifact: ArtifactFolder) -> tuple[Profile, Mapping[str, Profile | Failure]]:
        """A shipped file: INT8 as it is, float in the fastest precision that its runtime has; and the others."""
        place = self._place(artifact)
        own = rivals = float_candidates(artifact, place.runtime, place.device)
        if artifact.manifest.precision == "int8":
            # The file remembers what its proxy was told, which another runtime may not know.
            options = artifact.manifest.runtime_options
            known = {name: options[name] for name in options if name in runtimes.find(place.runtime).options}
            own = [Candidate("int8", artifact, place.runtime, known)]
            rivals = [*own, *(one for one in rivals if one.artifact is not artifact)]
        measured = compare(
            rivals,
            place.device,
            threads=self.threads,
            progress=self.progress,
            source=place.source,
            keep=self.keep,
        )
        best, profile = fastest(own, measured)
        return profile, {name: found for name, found in measured.items() if name != best.name}

    def _place(self, artifact: ArtifactFolder) -> Place:
        """On a machine that is not the target its runtime is a proxy; without a target this device was asked for."""
        if self.goal is not None:
            return place_of(self.goal, self.uri)
        return Place(open_device(self.uri), RUNTIME_OF[artifact.manifest.format], on_target=True)

    def network(self, network: Model, goal: Target) -> tuple[Profile, Mapping[str, Profile | Failure]]:
        """The float file of a network, made for the purpose."""
        inputs = np.random.default_rng(0).standard_normal(network.input_shape).astype(np.float32)
        self.progress.say(f"exporting {network.name} to {goal.format}")
        with TemporaryDirectory() as name:
            return self.file(export(network, goal, Path(name), inputs))
