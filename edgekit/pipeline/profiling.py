"""`profile`: what a network costs before anybody trains it, and how fast a file runs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from edgekit import runtimes
from edgekit.artifact import MANIFEST, ArtifactFolder, load_artifact
from edgekit.bench import Candidate, Failure, compare, fastest, float_candidates
from edgekit.checkpoint import STRUCTURE
from edgekit.devices import Opened, open_device
from edgekit.errors import InputError
from edgekit.exporters import export
from edgekit.graph.advice import Advice
from edgekit.graph.cost import Cost
from edgekit.graph.roofline import Roofline
from edgekit.measurement import Profile
from edgekit.model import Model, Task
from edgekit.pipeline.bare_file import artifact_of_file
from edgekit.pipeline.browsing import AppPath, KnownAnswers, app_path, opened, tell, tell_threads
from edgekit.pipeline.layer_times import KnownLayers, layer_times, layers_of_run, required
from edgekit.pipeline.loading import in_float, open_network
from edgekit.pipeline.place import Place, place_of
from edgekit.pipeline.static import Static, static_of_file, static_of_network
from edgekit.progress import Progress, Silent
from edgekit.report import LayerTimes
from edgekit.request import Size
from edgekit.target import Target, load_target
from edgekit.zoo.resolve import NETWORK_FILES


@dataclass(frozen=True)
class CostProfile:
    """The static side and the measured side (None where nothing was run)."""

    name: str
    cost: Cost | None
    latency: Profile | None
    rivals: Mapping[str, Profile | Failure] = field(default_factory=dict)
    """What was measured side by side with it: the network in other precisions."""
    layer_times: LayerTimes | None = None
    """Only where they were asked for and something was run."""
    known_answers: KnownAnswers | None = None
    """Where a browser was measured: that it answered right."""
    app_path: AppPath | None = None
    """Where a browser was measured: what it takes from a picture file to its answer."""
    rooflines: tuple[Roofline, ...] = ()
    """The least time on the target, by precision: estimates."""
    advice: tuple[Advice, ...] = ()

    def document(self) -> dict[str, Any]:
        """The profile as `--json` prints it."""
        static = asdict(self.cost) if self.cost else {}
        rivals = {
            name: {"failed": one.reason} if isinstance(one, Failure) else one.summary()
            for name, one in self.rivals.items()
        }
        return {
            "name": self.name,
            **static,
            "rooflines": [asdict(found) for found in self.rooflines],
            "advice": [asdict(found) for found in self.advice],
            "latency": self.latency.summary() if self.latency else None,
            "rivals": rivals,
            "layer_times": self.layer_times.model_dump(mode="json") if self.layer_times else None,
            "known_answers": self.known_answers.model_dump(mode="json") if self.known_answers else None,
            "app_path": self.app_path.model_dump(mode="json") if self.app_path else None,
        }


def profile(
    model: str | Path,
    *,
    target: str | None = None,
    input_size: Size | None = None,
    width: float = 1.0,
    factory_arg: Sequence[str] = (),
    task: Task | None = None,
    factory: str | None = None,
    threads: int = 2,
    device: str = "local",
    keep: Path | None = None,
    layers: bool = False,
    progress: Progress | None = None,
) -> CostProfile:
    """The static cost of a network, a checkpoint or a file, with advice; the latency of an artifact.

    A network (as `compress` takes it) is counted at (1, C, H, W), by default its published size, a `.pt2` file's own,
    or 224; with a target it also gets floors on it (estimates) and the latency of its float file (random weights, or
    its own), in the fastest precision of the target's runtime here. With `layers` also the time of each layer, from a
    pass of its own. What the runtime made on the device, an engine for one, comes into `keep`. An ONNX, OpenVINO IR
    or .tflite file without a manifest is only counted, but a browser measures an ONNX one too. Raises the errors of
    `edgekit.errors`.
    """
    goal = load_target(target) if target else None
    where = open_device(device)  # an address that is none is refused before anything is counted
    bench = _Bench(device, goal, threads, keep, progress or Silent(), by_layer=layers)
    path = Path(model)
    file = path.is_file() and path.suffix not in NETWORK_FILES
    if file and not (path.parent / MANIFEST).is_file():
        if isinstance(where, Opened):
            bare = artifact_of_file(path)
            return _joined(path.name, goal, _counted(bare, goal, bench.progress), bench.file(bare, ()))
        return _joined(path.name, goal, static_of_file(path, goal), None)
    if file or (path.is_dir() and not (path / STRUCTURE).is_file()):
        artifact = load_artifact(path)
        counted = _counted(artifact, goal, bench.progress)
        return _joined(artifact.manifest.model, goal, counted, bench.file(artifact, layers_of_run(path)))
    network = open_network(
        model,
        factory=factory,
        factory_arg=factory_arg,
        task=task,
        weights=None,
        input_size=input_size,
        width=width,
    )
    network = in_float(network, bench.progress)
    static = static_of_network(network, goal)
    measured = None if goal is None else bench.network(network, goal, static.cost.layers)
    return _joined(network.name, goal, static, measured)


@dataclass(frozen=True)
class Measured:
    """What came of running a file."""

    latency: Profile
    rivals: Mapping[str, Profile | Failure]
    layer_times: LayerTimes | None
    known_answers: KnownAnswers | None = None
    app_path: AppPath | None = None

    @property
    def times_ns(self) -> dict[str, int]:
        """Of the rows that something ran for, rows of one name together: what is fused is nobody's alone."""
        found: Counter[str] = Counter()
        for row in self.layer_times.rows if self.layer_times else ():
            if row.operators:
                found[row.name] += round(row.time_ns)
        return dict(found)


def _counted(artifact: ArtifactFolder, goal: Target | None, progress: Progress) -> Static | None:
    """A file that cannot be counted can be measured all the same."""
    try:
        return static_of_file(artifact.model_path, goal)
    except InputError as error:
        progress.say(f"not counted: {error.what}")
        return None


def _joined(name: str, goal: Target | None, static: Static | None, measured: Measured | None) -> CostProfile:
    return CostProfile(
        name,
        static.cost if static else None,
        measured.latency if measured else None,
        measured.rivals if measured else {},
        measured.layer_times if measured else None,
        measured.known_answers if measured else None,
        measured.app_path if measured else None,
        static.rooflines if static else (),
        static.advice(goal, measured.times_ns if measured else None) if static else (),
    )


@dataclass(frozen=True)
class _Bench:
    """Where and how the files of one profile are measured."""

    uri: str
    goal: Target | None
    threads: int
    keep: Path | None
    progress: Progress
    by_layer: bool

    def file(self, artifact: ArtifactFolder, layers: KnownLayers) -> Measured:
        """A shipped file: INT8 as it is, float in the fastest precision that its runtime has; and the others."""
        place = self._place(artifact)
        with opened(place, artifact, self.threads, self.progress) as known:
            found = self._measured(artifact, place, layers)
            pictured = (artifact.folder / MANIFEST).is_file()
            path = app_path(place, self.progress, pictured=pictured)
            tell(place, found.latency, known, path, self.progress)
            if known is not None:
                tell_threads(found.latency, self.threads, self.progress)
        return replace(found, known_answers=known, app_path=path)

    def _measured(self, artifact: ArtifactFolder, place: Place, layers: KnownLayers) -> Measured:
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
        best, found = fastest(own, measured)
        others = {name: one for name, one in measured.items() if name != best.name}
        return Measured(found, others, self._by_layer(best, place, layers, found.where))

    def _by_layer(self, best: Candidate, place: Place, layers: KnownLayers, source: str) -> LayerTimes | None:
        if not self.by_layer:
            return None
        self.progress.say(f"timing each layer in {place.runtime}")
        times = layer_times(best, place.device, layers, threads=self.threads, source=source)
        return required(times, place.runtime)

    def _place(self, artifact: ArtifactFolder) -> Place:
        """On a machine that is not the target its runtime is a proxy; without a target this device was asked for."""
        if self.goal is not None:
            return place_of(self.goal, self.uri)
        return Place(open_device(self.uri), runtimes.RUNTIME_OF[artifact.manifest.format], on_target=True)

    def network(self, network: Model, goal: Target, layers: KnownLayers) -> Measured:
        """The float file of a network, made for the purpose."""
        inputs = np.random.default_rng(0).standard_normal(network.input_shape).astype(np.float32)
        self.progress.say(f"exporting {network.name} to {goal.format}")
        with TemporaryDirectory() as name:
            return self.file(export(network, goal, Path(name), inputs), layers)
