"""`parity`: the same pictures through a network in PyTorch and through the file that each target's runtime takes."""

from __future__ import annotations

import math
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.artifact import ArtifactFolder
from edgekit.bench import predict
from edgekit.data import Data, load_data
from edgekit.errors import BudgetError, EdgekitError, InputError
from edgekit.exporters import check_packages, export
from edgekit.exporters.layer_parity import LayerParity
from edgekit.metrics import metric_of
from edgekit.model import Event, Model
from edgekit.parity import Array, sqnr_db
from edgekit.pipeline.assess import SAMPLES
from edgekit.pipeline.departing import compared, departure, failed
from edgekit.pipeline.place import int8_options, proxy_of
from edgekit.progress import Progress, Silent
from edgekit.quantizer.outputs import network_outputs
from edgekit.quantizer.ptq import Methods, quantize
from edgekit.recipe import QuantizeOptions
from edgekit.stages import Departure
from edgekit.stages.mixed import can_mix
from edgekit.stages.quantize import calibration_batches
from edgekit.stages.repair import repaired
from edgekit.target import Target, load_target

TARGETS = ("host", "intel-cpu", "android")
"""Unless said: one a runtime that runs here, ONNX Runtime, OpenVINO and LiteRT."""
CALIBRATION_SAMPLES = QuantizeOptions(kind="quantize").calibration_samples


@dataclass(frozen=True)
class Side:
    """One file of the network."""

    target: str
    format: str
    runtime: str
    """That ran it, here."""
    precision: str
    failed: str = ""
    """Why there is no file, or no answer of it."""
    exit_code: int = 0
    """Of what failed."""
    calibration_samples: int | None = None
    sqnr_db: float | None = None
    """Of its answers, to those of the network that it was made from in PyTorch, quantized as it is."""
    float_db: float | None = None
    """To those of the network's float weights; of a run's INT8 network these are those that are rounded."""
    agreement: float | None = None
    """The share of answers (pictures; pixels of masks) that it has in common with the float network."""
    tensors: tuple[LayerParity, ...] = ()
    """In order of computation, on the first pictures; none of float files but LiteRT's."""
    diverges: str = ""
    """The first tensor under 25 dB, where the answers are."""
    repair: tuple[str, ...] = ()
    """What was tried then, and what it gave."""

    @property
    def holds(self) -> bool:
        """Whether it ran, and is as near as a file should be."""
        return not (self.failed or self.diverges)


@dataclass(frozen=True)
class Agreement:
    """All files on the same pictures."""

    model: str
    data: str
    samples: int
    sides: tuple[Side, ...]

    @property
    def exit_code(self) -> int:
        """0 where all files hold, that of a missed budget where one departs, else that of the first that failed."""
        if any(side.diverges for side in self.sides):
            return BudgetError.exit_code
        return next((side.exit_code for side in self.sides if side.failed), 0)

    def document(self) -> dict[str, Any]:
        """As `--json` prints it; values that are not finite have no number there."""
        document = {**asdict(self), "holds": self.exit_code == 0}
        for tensor in (tensor for side in document["sides"] for tensor in side["tensors"]):
            tensor.update({name: None for name in ("reference", "file") if not math.isfinite(tensor[name])})
        return document


def agree(
    network: Model,
    targets: Sequence[str] = (),
    data: Path | None = None,
    samples: int | None = None,
    *,
    threads: int = 1,
    progress: Progress | None = None,
) -> Agreement:
    """Export a network for each target, in float and INT8, and hold each file's answers to PyTorch's.

    INT8 is the network's own where its rules are the target's; else it is calibrated here, without training, on the
    data's calibration pictures. A runtime that is missing, fails or refuses the file is a `failed` side. Raises
    `InputError` for unknown targets, data that does not fit, and fewer than one sample.
    """
    count = SAMPLES if samples is None else samples
    if count < 1:
        raise InputError(f"--samples {count} compares nothing", hint="give 1 or more")
    show, goals = progress or Silent(), [load_target(name) for name in targets or TARGETS]
    found = load_data(data, task=network.task, preprocessing=network.preprocessing, progress=show)
    split = found.test or found.val or found.calibration
    work = _Work(network, found, split.images(np.arange(min(count, len(split)))), threads, show)
    sides = tuple(side for goal in goals for side in work.sides(goal))
    return Agreement(network.name, found.name, len(work.inputs), sides)


class _Work:
    """One network, and the pictures that all its files get."""

    def __init__(self, network: Model, data: Data, inputs: Array, threads: int, progress: Progress) -> None:
        self.network, self.data, self.inputs = network, data, inputs
        self.threads, self.progress = threads, progress
        self.plain = replace(network, quantization=None)
        self.expected = network_outputs(self.plain, inputs)

    def sides(self, target: Target) -> Iterator[Side]:
        """Its float file where it takes one, then INT8 where it has rules for it."""
        runtime = target.proxy_runtime
        for precision in ("float32", "int8"):
            if precision == "float32" and target.integer_only:
                continue
            if precision == "int8" and "int8" not in target.precisions:
                continue
            self.progress.say(f"{target.id}, {precision}: exporting and running in {runtime}")
            side = Side(target.id, target.format, runtime, precision)
            try:
                check_packages(target.format)
                yield self.compared(
                    side, self.quantized(target) if precision == "int8" else self.plain, target
                )
            except EdgekitError as error:
                yield replace(side, failed=str(error), exit_code=error.exit_code)

    def quantized(self, target: Target) -> Model:
        """By the target's rules: as it is, or calibrated."""
        decided = self.network.quantization
        if (
            decided is not None
            and decided.rules == target.int8
            and (can_mix(target) or not decided.float_operators)
        ):
            return self.network
        split = self.data.calibration
        batches = calibration_batches(split, min(CALIBRATION_SAMPLES, len(split)))
        made = quantize(self.plain, target.int8, batches, Methods())
        event = Event(stage="quantize", summary=f"INT8 by the rules of {target.id}")
        return self.plain.after(event, module=made.module, quantization=made.quantization)

    def compared(self, side: Side, model: Model, target: Target) -> Side:
        """What the file gives; where it departs, what the repair gave."""
        with tempfile.TemporaryDirectory() as temporary:
            artifact, answers = self.run(model, target, Path(temporary) / "file")
            layers = compared(model, artifact, self.inputs)
        decibels = sqnr_db(network_outputs(model, self.inputs), answers)
        told = replace(
            side,
            calibration_samples=model.quantization.calibration_samples if model.quantization else None,
            sqnr_db=decibels,
            float_db=sqnr_db(self.expected, answers),
            agreement=metric_of(model.task).agreement(self.expected, answers),
            tensors=tuple(layers),
        )
        parted = departure(decibels, lambda: layers)
        if parted is None:
            return told
        told = replace(told, diverges=parted.told)
        if model.quantization is None:
            return told
        _, tried = repaired(model, parted, partial(self.departure, target=target), mixes=can_mix(target))
        return replace(told, repair=tried)

    def departure(self, model: Model, target: Target) -> Departure | None:
        """Of a candidate that a repair asks about."""
        try:
            with tempfile.TemporaryDirectory() as temporary:
                artifact, answers = self.run(model, target, Path(temporary) / "file")
                decibels = sqnr_db(network_outputs(model, self.inputs), answers)
                return departure(decibels, lambda: compared(model, artifact, self.inputs))
        except EdgekitError as error:
            return failed(error.what)

    def run(self, model: Model, target: Target, folder: Path) -> tuple[ArtifactFolder, Array]:
        """The target's file and its answers, in a child process."""
        place = proxy_of(target)
        folder.mkdir()
        artifact = export(model, target, folder, self.inputs[:1])
        options = int8_options(target, place.runtime) if model.quantization else {}
        answers = predict(
            artifact, place.runtime, self.inputs, place.device, threads=self.threads, options=options
        )
        return artifact, answers
