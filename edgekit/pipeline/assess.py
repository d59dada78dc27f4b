"""What a model is worth on its target: exported, run in a child process, measured beside its rivals."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from edgekit.artifact import ArtifactFolder, load_artifact
from edgekit.bench import Candidate, Protocol, compare, fastest, float_candidates, predict_split
from edgekit.data.split import Split
from edgekit.devices import HERE
from edgekit.errors import InputError, MeasurementError
from edgekit.exporters import export
from edgekit.files import new_folder
from edgekit.graph.cost import Cost, cost
from edgekit.measurement import Profile
from edgekit.model import Model
from edgekit.parity import Array, sqnr_db
from edgekit.pipeline.departing import compared, departure, failed
from edgekit.pipeline.job import Job
from edgekit.pipeline.place import int8_options, place_of, proxy_of
from edgekit.pipeline.verdict import Figures
from edgekit.progress import Progress
from edgekit.quantizer.outputs import network_outputs
from edgekit.stages import Departure, RejectedError
from edgekit.stages.training import outputs, score

KNOWN_INPUTS = 8
"""Inputs whose outputs ship with the file, for a device to check itself against."""
SAMPLES = 64
"""Pictures on which a file is held to its network."""
PROTOCOL = Protocol()


@dataclass(frozen=True, eq=False)
class Assessment:
    """A model with the file made from it and what was found out about both."""

    model: Model
    cost: Cost
    artifact: ArtifactFolder
    val_accuracy: float | None = None
    val_others: Mapping[str, float] = field(default_factory=dict)
    """What the task's metric tells beside it."""
    fidelity_db: float | None = None
    profile: Profile | None = None
    """In the fastest precision that the runtime has for the file."""
    options: tuple[tuple[str, str], ...] = ()
    """The runtime options of that precision."""
    crashed: str = ""
    answers: Array | None = None
    """What the file gave in its runtime for the first pictures of the decision split, where that was asked."""

    @cached_property
    def compressed_size(self) -> int:
        """Bytes after gzip."""
        return self.artifact.compressed_size_bytes

    @property
    def figures(self) -> Figures:
        """What `judge` compares."""
        return Figures(
            macs=self.cost.macs,
            memory=self.cost.memory_access_bytes,
            size=self.artifact.size_bytes,
            compressed_size=self.compressed_size,
            accuracy=self.val_accuracy,
            latency_ms=self.profile.p50_ms if self.profile else None,
            crashed=self.crashed,
        )


class Assessor:
    """Assesses the models of one run on its target."""

    def __init__(self, job: Job, folder: Path, torch_device: str, progress: Progress) -> None:
        self.job, self.folder, self.torch_device, self.progress = job, folder, torch_device, progress
        self.place = place_of(job.target, job.request.device)
        own = job.request.device == HERE and self.place.runtime == job.target.proxy_runtime
        self.here = self.place if own else proxy_of(job.target)
        """Runs whole splits: pictures need not travel, and TensorRT would take a process for each batch."""
        self.reference: Array | None = None
        """The float baseline's outputs on the decision split: what fidelity is relative to."""
        self._latest: Assessment | None = None

    @property
    def split(self) -> Split:
        """What fidelity and parity are taken on: the decision split, or calibration pictures where there is none."""
        return self.job.data.val or self.job.data.calibration

    def pictures(self, count: int) -> Array:
        """The first of them."""
        return self.split.images(np.arange(min(count, len(self.split))))

    def assess(self, model: Model, name: str, *, in_runtime: bool) -> Assessment:
        """Export a model and take its cost and accuracy; latency is `measure`'s.

        `in_runtime`: accuracy is that of the file in its runtime, else that of the network in torch. A runtime
        that crashes or hangs is written down in `crashed`; raises `RejectedError` for a quantized model that cannot
        be exported, where a float one can ship instead. The latest model is not assessed twice: a stage may
        have asked about the very one that it gives.
        """
        if self._latest is None or self._latest.model is not model:
            self._latest = self._assess(model, name, in_runtime=in_runtime)
        return self._latest

    def _assess(self, model: Model, name: str, *, in_runtime: bool) -> Assessment:
        self.progress.say(f"{name}: exporting to {self.job.target.format}")
        width = 1 if model.quantization else 4
        spent = cost(model.module, model.input_shape, weight_bytes=width, activation_bytes=width)
        try:
            with new_folder(self.folder / name) as temporary:
                export(model, self.job.target, temporary, self.pictures(KNOWN_INPUTS))
        except InputError as error:
            if model.quantization is None or self.job.target.integer_only:  # nothing else could ship
                raise
            raise RejectedError(f"INT8 cannot be exported: {error.what}") from error
        options = int8_options(self.job.target, self.place.runtime) if model.quantization else {}
        found = Assessment(
            model, spent, load_artifact(self.folder / name), options=tuple(sorted(options.items()))
        )
        try:
            logits = self._predict(found, self.split) if in_runtime else self._outputs(model)
        except MeasurementError as error:
            return replace(found, crashed=f"{self.here.runtime} failed on this file: {error.what}")
        if self.reference is None:
            self.reference = logits
        split = self.job.data.val
        right = score(model.task, logits, split) if split and self.job.data.labelled else None
        return replace(
            found,
            val_accuracy=right.value if right else None,
            val_others=right.others if right else {},
            fidelity_db=sqnr_db(self.reference, logits),
            answers=logits[:SAMPLES].copy() if in_runtime else None,
        )

    def departure(self, state: Assessment) -> Departure | None:
        """How far an INT8 file in its runtime is from its network; None where it is near, or was not run."""
        if state.model.quantization is None:
            return None
        if state.answers is None:
            return failed(state.crashed) if state.crashed else None
        inputs = self.pictures(SAMPLES)
        decibels = sqnr_db(network_outputs(state.model, inputs), state.answers)
        return departure(decibels, lambda: compared(state.model, state.artifact, inputs))

    def measure(self, sides: dict[str, Assessment], keep: Path | None = None) -> dict[str, Assessment]:
        """Measure assessed models side by side in one interleaved run, each in every precision its runtime has.

        Gives the same models with the profile (and the file) of their fastest precision; one that crashes says so.
        What the runtime made of the files, engines for one, comes into `keep`.
        """
        fit = {name: side for name, side in sides.items() if not side.crashed}
        candidates = [
            replace(candidate, name=f"{name}|{candidate.name}")
            for name, side in fit.items()
            for candidate in self._candidates(side)
        ]
        measured = compare(
            candidates,
            self.place.device,
            threads=self.job.request.threads,
            protocol=PROTOCOL,
            source=self.place.source,
            progress=self.progress,
            keep=keep,
        )
        results = dict(sides)
        for name, side in fit.items():
            own = [candidate for candidate in candidates if candidate.name.startswith(f"{name}|")]
            try:
                best, profile = fastest(own, measured)
            except MeasurementError as error:
                results[name] = replace(side, profile=None, crashed=error.what)
            else:
                options = tuple(sorted(best.options.items()))
                results[name] = replace(side, profile=profile, artifact=best.artifact, options=options)
        return results

    def test_outputs(self, side: Assessment) -> Array | None:
        """The file's outputs on the test split in its runtime: read once, for the report."""
        split = self.job.data.test
        if split is None:
            return None
        return self._predict(side, split)

    def _candidates(self, side: Assessment) -> list[Candidate]:
        if side.model.quantization:
            return [Candidate("int8", side.artifact, self.place.runtime, dict(side.options))]
        return float_candidates(side.artifact, self.place.runtime, self.place.device)

    def options_here(self, side: Assessment) -> dict[str, str]:
        """The options of a file in the runtime of `here`: a precision that the device has may not be here."""
        if self.here is self.place:
            return dict(side.options)
        return int8_options(self.job.target, self.here.runtime) if side.model.quantization else {}

    def _predict(self, side: Assessment, split: Split) -> Array:
        return predict_split(
            side.artifact,
            self.here.runtime,
            split,
            self.here.device,
            threads=self.job.request.threads,
            options=self.options_here(side),
        )

    def _outputs(self, model: Model) -> Array:
        return outputs(model.module, self.split, self.torch_device)
