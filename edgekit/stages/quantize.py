"""`Quantize`: INT8 by the target's rules; calibration first, AdaRound and training where that misses the budget."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import fx

from edgekit.data.split import Split
from edgekit.metrics import metric_of
from edgekit.model import Detail, Event, Model, Quantization
from edgekit.progress import Advance
from edgekit.recipe import QuantizeOptions
from edgekit.stages import Context, RejectedError
from edgekit.stages.repair import repaired
from edgekit.stages.sparsity import zero_masks
from edgekit.stages.training import Training, train

if TYPE_CHECKING:
    from torch import nn

    from edgekit.quantizer.ptq import Methods, Quantized

CALIBRATION_BATCH = 32
_METHODS = {"ptq": "PTQ", "adaround": "PTQ with AdaRound", "qat": "QAT", "tfmot-qat": "QAT in TF-MOT"}
_OF_THE_FILE = ("departure", "repair", "float_operators")
"""Details of a calibrated network that do not hold of one that was trained from it."""
CLUSTERED = "tfmot-cluster"
"""Behind this stage weights keep their few values: neither equalization nor AdaRound would leave them."""


@dataclass(frozen=True)
class Quantize:
    """Post-training quantization, AdaRound, quantization-aware training (Jacob et al. 2018): as far as it takes."""

    options: QuantizeOptions

    def apply(self, model: Model, context: Context) -> Model:
        """The model with INT8 scales, and with float weights that are rounded to integers better than its own.

        Raises `RejectedError` where the target has no INT8, `InputError` for unusable calibration data.
        """
        if "int8" not in context.target.precisions:
            raise RejectedError(f"{context.target.id} has no INT8")
        return self._mixed(self._quantized(model, context), model, context)

    def _quantized(self, model: Model, context: Context) -> Model:
        method = self.options.method
        if method == "tfmot-qat" and not _may_round(model):
            raise RejectedError("clustered weights would leave their few values while they are trained")
        calibrated = self._calibrated(model, context, adaround=method == "adaround")
        if method in ("ptq", "adaround"):
            return calibrated
        reached, floor = context.measured_accuracy(calibrated), context.accuracy_floor
        if method == "auto" and (reached is None or floor is None or reached >= floor):
            return calibrated
        if reached is None:
            raise RejectedError("quantization-aware training needs labelled pictures")
        if method == "tfmot-qat":
            return _best(calibrated, reached, self._trained_by_tfmot(model, context), context)
        best = calibrated
        if method == "auto" and _may_round(model):
            context.progress.say(f"{_figure(model, reached)} by calibration alone: AdaRound")
            best, reached = _better(best, reached, self._calibrated(model, context, adaround=True), context)
            if floor is not None and reached >= floor:
                return best
        if isinstance(model.module, fx.GraphModule):  # its batch norms are operators, with no bias to train
            context.progress.say("a .pt2 file's graph is not trained for INT8: calibration alone")
            return best
        context.progress.say(f"{_figure(model, reached)} without training: quantization-aware training")
        return _best(best, reached, self._trained(calibrated, context), context)

    def _mixed(self, int8: Model, plain: Model, context: Context) -> Model:
        from edgekit.stages.mixed import can_mix, fastest, within_budget

        if not self.options.mixed or not can_mix(context.target):
            return int8
        reached, floor = context.measured_accuracy(int8), context.accuracy_floor
        if reached is not None and floor is not None and reached < floor:
            int8 = within_budget(int8, context)
        return fastest(int8, plain, context, context.timing) if context.timing else int8

    def _calibrated(self, model: Model, context: Context, *, adaround: bool) -> Model:
        from edgekit.quantizer.ptq import quantize

        split = context.data.calibration
        count = min(len(split), self.options.calibration_samples)
        methods = self._methods(model, context, adaround)
        with context.progress.task("adaround" if adaround else "calibrate", count) as advance:
            counted = _counted(calibration_batches(split, count), advance)
            found = quantize(
                model, context.target.int8, counted, methods, lambda layer: advance(0, note=layer)
            )
        if found.doubt:
            context.progress.say(found.doubt)
        event = _event(found.quantization, context, _details(found))
        int8 = model.after(event, module=found.module, quantization=found.quantization)
        return self._near_its_file(int8, context)

    def _near_its_file(self, int8: Model, context: Context) -> Model:
        """The network, with operators in float where its file departs from it in its runtime, and that mends it."""
        from edgekit.quantizer.mixed import float_layers
        from edgekit.stages.mixed import can_mix

        departure = context.departure(int8)
        if departure is None:
            return int8
        context.progress.say(f"the file is {departure.sqnr_db:.1f} dB from its network: {departure.told}")
        mixes = self.options.mixed and can_mix(context.target)
        model, tried = repaired(int8, departure, context.departure, mixes=mixes)
        last, floats = int8.lineage[-1], list(float_layers(model))
        told = {**last.details, "departure": departure.told, "repair": list(tried), "float_operators": floats}
        summary = (
            f"{last.summary}; {len(floats)} operators in float: its file departed" if floats else last.summary
        )
        event = last.model_copy(update={"summary": summary, "details": told})
        return replace(model, lineage=(*int8.lineage[:-1], event))

    def _methods(self, model: Model, context: Context, adaround: bool) -> Methods:
        from edgekit.quantizer.ptq import Methods

        options, free = self.options, _may_round(model)
        return Methods(
            equalize=options.equalize and free,
            correct_bias=options.correct_bias,
            rounding_steps=options.adaround_steps if adaround and free else 0,
            seed=context.seed,
        )

    def _trained_by_tfmot(self, model: Model, context: Context) -> Model:
        """Its weights, with scales as ever: they are decided once, by the target's rules."""
        from edgekit.stages.tfmot import train_rounded

        module, told = train_rounded(model, context, self.options)
        int8 = self._calibrated(replace(model, module=module), context, adaround=False)
        assert int8.quantization is not None
        quantization = int8.quantization.model_copy(update={"method": "tfmot-qat"})
        event = _event(quantization, context, {**int8.lineage[-1].details, **told})
        return model.after(event, module=int8.module, quantization=quantization)

    def _trained(self, model: Model, context: Context) -> Model:
        from edgekit.quantizer.qat import finish_qat, prepare_qat

        options = self.options
        how = Training(
            task=model.task,
            epochs=options.qat_epochs,
            learning_rate=options.qat_learning_rate,
            batch_size=options.batch_size,
            seed=context.seed,
            device=context.torch_device,
            title="quantization-aware training",
            distillation=0.5,
        )
        graph = prepare_qat(model, context.target.int8)
        train(
            graph,
            context.data,
            how,
            context.progress,
            teacher=copy.deepcopy(context.baseline.module),
            masks=zero_masks(model.module, model.sparsity),
        )
        module: nn.Module
        module, quantization = finish_qat(model, graph)
        details = {name: told for name, told in model.lineage[-1].details.items() if name not in _OF_THE_FILE}
        trained = model.after(
            _event(quantization, context, details), module=module, quantization=quantization
        )
        return self._near_its_file(trained, context)


def calibration_batches(split: Split, count: int) -> Iterator[np.ndarray[Any, Any]]:
    """The first pictures of a split, (n, C, H, W) float32, a few at a time."""
    for start in range(0, count, CALIBRATION_BATCH):
        yield split.images(np.arange(start, min(start + CALIBRATION_BATCH, count)))


def _may_round(model: Model) -> bool:
    return all(event.stage != CLUSTERED for event in model.lineage)


def _better(best: Model, reached: float, other: Model, context: Context) -> tuple[Model, float]:
    """Of two, the more accurate; the first where they are equal."""
    found = context.measured_accuracy(other)
    return (other, found) if found is not None and found > reached else (best, reached)


def _best(best: Model, reached: float, trained: Model, context: Context) -> Model:
    """The trained one where it is more accurate; either way both figures are told."""
    after = context.measured_accuracy(trained)
    found = trained if after is not None and after > reached else best
    told = f"{_figure(best, reached)} without training"
    told += ", and the trained network failed" if after is None else f", {100 * after:.2f} % with it"
    context.progress.say(told)
    last = found.lineage[-1]
    last = last.model_copy(update={"details": {**last.details, "training": told}})
    return replace(found, lineage=(*found.lineage[:-1], last))


def _figure(model: Model, reached: float) -> str:
    return f"{metric_of(model.task).name} is {100 * reached:.2f} %"


def _counted(batches: Iterator[np.ndarray[Any, Any]], advance: Advance) -> Iterator[np.ndarray[Any, Any]]:
    for batch in batches:
        yield batch
        advance(len(batch))


def _details(found: Quantized) -> dict[str, Detail]:
    """What was tried, in decibels of the rounded network's outputs against the float one's on calibration pictures."""
    return {
        "sqnr_db": round(found.decibels, 2),
        "observers": found.observers,
        "one_observer": {name: f"{reached:.1f} dB" for name, reached in found.uniform.items()},
        "tried": {trial.step: str(trial) for trial in found.trials},
        "calibration_doubt": found.doubt,
    }


def _event(quantization: Quantization, context: Context, details: Mapping[str, Detail]) -> Event:
    random = " of random pictures: no claim about accuracy" if context.data.name == "random" else ""
    name = _METHODS[quantization.method]
    return Event(
        stage="quantize",
        summary=f"INT8 by {name}, {quantization.calibration_samples} samples{random}",
        details={
            **details,
            "method": quantization.method,
            "calibration_samples": quantization.calibration_samples,
            "calibration_sha256": quantization.calibration_sha256,
            "integer_activations": len(quantization.activations),
            "rules": context.target.id,
        },
    )
