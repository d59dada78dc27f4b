"""`Quantize`: INT8 by the target's rules; calibration first, training only where that misses the budget."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from torch import fx

from edgekit.metrics import metric_of
from edgekit.model import Event, Model, Quantization
from edgekit.progress import Advance
from edgekit.recipe import QuantizeOptions
from edgekit.stages import Context, RejectedError
from edgekit.stages.sparsity import zero_masks
from edgekit.stages.training import Training, train

if TYPE_CHECKING:
    from torch import nn

CALIBRATION_BATCH = 32


@dataclass(frozen=True)
class Quantize:
    """Post-training quantization, then quantization-aware training if needed (Jacob et al. 2018)."""

    options: QuantizeOptions

    def apply(self, model: Model, context: Context) -> Model:
        """The model with INT8 scales; its float weights change only under quantization-aware training.

        Raises `RejectedError` where the target has no INT8, `InputError` for unusable calibration data.
        """
        if "int8" not in context.target.precisions:
            raise RejectedError(f"{context.target.id} has no INT8")
        return self._mixed(self._quantized(model, context), model, context)

    def _quantized(self, model: Model, context: Context) -> Model:
        calibrated = self._calibrated(model, context)
        if self.options.method == "ptq":
            return calibrated
        reached = context.measured_accuracy(calibrated)
        floor = context.accuracy_floor
        if self.options.method == "auto" and (reached is None or floor is None or reached >= floor):
            return calibrated
        if reached is None:
            raise RejectedError("quantization-aware training needs labelled pictures")
        if isinstance(model.module, fx.GraphModule):  # its batch norms are operators, with no bias to train
            context.progress.say("a .pt2 file's graph is not trained for INT8: calibration alone")
            return calibrated
        context.progress.say(
            f"{metric_of(model.task).name} is {100 * reached:.2f} % by calibration alone: quantization-aware training"
        )
        trained = self._trained(calibrated, context)
        after = context.measured_accuracy(trained)
        return trained if after is not None and after > reached else calibrated

    def _mixed(self, int8: Model, plain: Model, context: Context) -> Model:
        from edgekit.stages.mixed import can_mix, fastest, within_budget

        if not self.options.mixed or not can_mix(context):
            return int8
        reached, floor = context.measured_accuracy(int8), context.accuracy_floor
        if reached is not None and floor is not None and reached < floor:
            int8 = within_budget(int8, context)
        return fastest(int8, plain, context, context.timing) if context.timing else int8

    def _calibrated(self, model: Model, context: Context) -> Model:
        from edgekit.quantizer.calibrate import calibrate

        split = context.data.calibration
        count = min(len(split), self.options.calibration_samples)
        batches = (
            split.images(np.arange(start, min(start + CALIBRATION_BATCH, count)))
            for start in range(0, count, CALIBRATION_BATCH)
        )
        with context.progress.task("calibrate", count) as advance:
            quantization = calibrate(model, context.target.int8, _counted(batches, advance))
        return model.after(_event(quantization, context), quantization=quantization)

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
        return model.after(_event(quantization, context), module=module, quantization=quantization)


def _counted(batches: Iterator[np.ndarray[Any, Any]], advance: Advance) -> Iterator[np.ndarray[Any, Any]]:
    for batch in batches:
        yield batch
        advance(len(batch))


def _event(quantization: Quantization, context: Context) -> Event:
    random = " of random pictures: no claim about accuracy" if context.data.name == "random" else ""
    return Event(
        stage="quantize",
        summary=f"INT8 by {quantization.method.upper()}, {quantization.calibration_samples} samples{random}",
        details={
            "method": quantization.method,
            "calibration_samples": quantization.calibration_samples,
            "calibration_sha256": quantization.calibration_sha256,
            "integer_activations": len(quantization.activations),
            "rules": context.target.id,
        },
    )
