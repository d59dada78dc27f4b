"""`Recover`: what sparsity and pruning took from the accuracy, won back from the unpruned network."""

from __future__ import annotations

import copy
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from edgekit.model import Detail, Event, Model
from edgekit.recipe import RecoverOptions, SparsifyOptions
from edgekit.stages import Context, RejectedError
from edgekit.stages.sparsity import zero_masks
from edgekit.stages.training import (
    Penalty,
    Trained,
    Training,
    needs_adaptive,
    outputs,
    recalibrate,
    score,
    train,
)

if TYPE_CHECKING:
    from torch import nn

    from edgekit.data.split import Split


@dataclass(frozen=True)
class Recover:
    """Fine-tuning with distillation (Hinton et al. 2015) and batch-norm statistics taken anew.

    What epochs are judged on is cut from the training data, if anything is (see `judging.py`): neither the test split
    nor the one that the run decides on is looked at before the training is over.
    """

    options: RecoverOptions

    def apply(self, model: Model, context: Context) -> Model:
        """The fine-tuned model; zeros of its sparsity patterns stay zero.

        Raises `RejectedError` where no labelled pictures are there to train on or to hold out, or no features can be
        matched.
        """
        data, options = context.data, self.options
        if data.val is None or data.train is None or not data.labelled:
            raise RejectedError("no labelled pictures to train on")
        module = copy.deepcopy(model.module)
        before = _accuracy(module, model, context, data.val)
        trained = distil(module, model, context, options, title="recover")
        recalibrate(module, data.train, context.torch_device)
        after = _accuracy(module, model, context, data.val)
        event = Event(
            stage="recover",
            summary=f"{trained.epochs} epochs of distillation",
            details={
                "epochs": trained.epochs,
                "val_accuracy_before": before,
                "val_accuracy_after": after,
                **_kept(trained),
            },
        )
        return model.after(event, module=module.eval())


def distil(
    module: nn.Module,
    model: Model,
    context: Context,
    options: RecoverOptions | SparsifyOptions,
    *,
    title: str,
    penalty: Penalty | None = None,
) -> Trained:
    """Train a module of a model in place, with the unpruned network as its teacher; zeros of its patterns stay zero."""
    how = Training(
        task=model.task,
        epochs=options.epochs,
        learning_rate=options.learning_rate,
        batch_size=options.batch_size,
        seed=context.seed,
        device=context.torch_device,
        title=title,
        distillation=options.distillation,
        adaptive=needs_adaptive(module),
    )
    if isinstance(options, RecoverOptions):
        how = replace(
            how,
            temperature=options.temperature,
            features=options.features,
            schedule=options.schedule,
            warm_up=options.warm_up,
            ema=options.ema,
            held_out=options.held_out,
            patience=options.patience,
            mixed_precision=options.mixed_precision,
        )
    return train(
        module.train(),
        context.data,
        how,
        context.progress,
        teacher=copy.deepcopy(context.baseline.module),
        survivors=(model.survivors, context.baseline.survivors),
        masks=zero_masks(module, model.sparsity),
        penalty=penalty,
    )


def _kept(trained: Trained) -> dict[str, Detail]:
    """Which epoch was kept, where that was decided."""
    best = trained.best
    return {} if best is None else {"epoch_kept": best.epoch, "held_out_accuracy": best.accuracy}


def _accuracy(module: nn.Module, model: Model, context: Context, split: Split) -> float | None:
    found = score(model.task, outputs(module, split, context.torch_device), split)
    return found.value if found else None
