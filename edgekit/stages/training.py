"""One training loop for all that trains: the baseline, recovery, quantization-aware training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.data.batching import batches
from edgekit.data.split import Data, Split
from edgekit.errors import InputError
from edgekit.model import Task
from edgekit.progress import Progress
from edgekit.recipe import MixedPrecision, RateSchedule
from edgekit.stages.averaging import WeightAverage
from edgekit.stages.features import Features, Survivors, match_features, outputs_of
from edgekit.stages.judging import Best, Judge, held_out
from edgekit.stages.losses import Loss, distillation_loss, loss_of
from edgekit.stages.passes import on_device, on_host, outputs, pictures_on, recalibrate, score
from edgekit.stages.precision import precision
from edgekit.stages.schedule import schedule

__all__ = ["Penalty", "Training", "needs_adaptive", "on_device", "outputs", "recalibrate", "score", "train"]

ADAM_SHARE, ADAM_DECAY, CLIP = 0.02, 0.01, 1.0
"""AdamW's rate as a share of what a recipe asks of SGD, its decay, and the norm that gradients are clipped to."""
MATCHED_ON = 64
"""Pictures that layers are matched on, and the scale of their features is taken from."""

Penalty = Callable[[int, int], None]
"""What is done to the weights, in place, after step `n` (from 1) of `steps`."""


@dataclass(frozen=True)
class Training:
    """What to train for, and how; the options of a recipe are explained there."""

    task: Task
    epochs: int
    learning_rate: float
    """The peak of the schedule."""
    batch_size: int
    seed: int
    device: str
    title: str
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    distillation: float = 0.0
    temperature: float = 2.0
    features: float = 0.0
    adaptive: bool = False
    """AdamW on clipped gradients instead of SGD: for networks without batch norm, see `needs_adaptive`."""
    schedule: RateSchedule = "one-cycle"
    warm_up: float | None = None
    ema: float | None = None
    held_out: float | None = None
    patience: int | None = None
    mixed_precision: MixedPrecision = "off"

    @property
    def loss(self) -> Loss:
        """What is minimised."""
        return loss_of(self.task)


@dataclass(frozen=True)
class Trained:
    """How far a training went, and which epoch was kept where epochs were judged; else the last one."""

    epochs: int
    best: Best | None


def train(
    module: nn.Module,
    data: Data,
    how: Training,
    progress: Progress,
    *,
    teacher: nn.Module | None = None,
    survivors: tuple[Survivors, Survivors] = ({}, {}),
    masks: Mapping[str, Tensor] | None = None,
    penalty: Penalty | None = None,
) -> Trained:
    """Train in place: SGD with Nesterov momentum; zeros in `masks` (name → bool) stay zero after every step.

    A `penalty` changes weights after every step, with the optimizer's rate left out of it, as AdamW's decay does.
    With a teacher the loss is (1 - d)·the task's + d·T²·KL(teacher ‖ student) at temperature T
    (Hinton et al. 2015), and `features` times the difference of the layers' outputs; `survivors` are those of the
    network and of its teacher (see `Model`). What is kept is the last epoch, or with `held_out` the best; of the
    weights, or with `ema` of their average. Batch-norm statistics fit no average: the caller takes them anew.
    The same seed, data and machine give the same weights. Raises `InputError` when the loss stops being finite,
    `RejectedError` where no features can be matched.
    """
    if data.train is None or data.train.targets is None:
        raise InputError(f"{how.title} needs labelled pictures, and {data.name} has none")
    split, judge = _judged(data.train, how)
    torch.manual_seed(how.seed)
    rng = np.random.default_rng(how.seed)
    on_device(module, how.device)
    steps = math.ceil(len(split) / how.batch_size)
    lesson = None if teacher is None else _lesson(module, teacher, survivors, how, split)
    loop = _Loop(module, how, steps, lesson, masks=masks or {}, penalty=penalty)
    epoch = 0
    with progress.task(how.title, how.epochs * steps) as advance:
        for epoch in range(1, how.epochs + 1):
            for images, targets in batches(split, how.batch_size, rng=rng, augment=True):
                loss = loop.step(pictures_on(images, how.device), torch.from_numpy(targets).to(how.device))
                advance(note=f"epoch {epoch}/{how.epochs}, loss {loss:.3f}")
            if judge and judge.look(epoch, loop.result) and epoch < how.epochs:
                said = f"stopped after {epoch} of {how.epochs} epochs, loss {loss:.3f}"
                advance((how.epochs - epoch) * steps, note=said)
                break
    if judge:
        judge.keep(module)
    elif loop.average:
        loop.average.keep()
    on_host(module)
    return Trained(epoch, judge.best if judge else None)


def _judged(train: Split, how: Training) -> tuple[Split, Judge | None]:
    """What is trained on, and who judges epochs on the rest of it, if anybody does."""
    if how.held_out is None:
        return train, None
    rest, apart = held_out(train, how.held_out)
    return rest, Judge(how.task, rest, apart, how.device, how.patience)


@dataclass(frozen=True, eq=False)
class _Lesson:
    """A teacher where it teaches, and the features that are matched, if any."""

    module: nn.Module
    features: Features | None


def _lesson(
    module: nn.Module,
    teacher: nn.Module,
    survivors: tuple[Survivors, Survivors],
    how: Training,
    split: Split,
) -> _Lesson:
    on_device(teacher, how.device).eval()
    if not how.features:
        return _Lesson(teacher, None)
    images = pictures_on(split.images(np.arange(min(len(split), MATCHED_ON))), how.device)
    modes = [(layer, layer.training) for layer in module.modules()]
    features = match_features(module, teacher, survivors, images)
    for layer, training in modes:
        layer.training = training
    return _Lesson(teacher, features)


class _Loop:
    def __init__(
        self,
        module: nn.Module,
        how: Training,
        steps_per_epoch: int,
        lesson: _Lesson | None,
        *,
        masks: Mapping[str, Tensor],
        penalty: Penalty | None,
    ) -> None:
        self.module, self.how, self.lesson = module, how, lesson
        self.penalty, self.steps, self.done = penalty, how.epochs * steps_per_epoch, 0
        parameters = dict(module.named_parameters())
        self.masked = [(parameters[name], mask.to(how.device)) for name, mask in masks.items()]
        self.optimizer = _optimizer(list(parameters.values()), how)
        self.schedule = schedule(
            how.schedule,
            self.optimizer,
            epochs=how.epochs,
            steps_per_epoch=steps_per_epoch,
            warm_up=how.warm_up,
        )
        self.average = None if how.ema is None else WeightAverage(module, how.ema)
        self.precision = precision(how.mixed_precision, how.device)
        self.scaler = self.precision.scaler()

    @property
    def result(self) -> nn.Module:
        """What would be kept if training ended now."""
        return self.average.module if self.average else self.module

    def step(self, images: Tensor, targets: Tensor) -> float:
        loss = self._loss(images, targets)
        if not torch.isfinite(loss):
            raise InputError(
                f"{self.how.title}: the loss is no longer finite",
                hint="a smaller learning rate in the recipe, or look for NaN in the data",
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        if self.how.adaptive:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.module.parameters(), CLIP)
        self._update()
        self.done += 1
        with torch.no_grad():
            if self.penalty is not None:
                self.penalty(self.done, self.steps)
            for parameter, mask in self.masked:
                parameter.mul_(mask)
        if self.average:
            self.average.update()
        return float(loss.detach())

    def _update(self) -> None:
        scale = self.scaler.get_scale()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        if self.scaler.get_scale() >= scale:  # else float16 overflowed, and the step was left out
            self.schedule.step()

    def _loss(self, images: Tensor, targets: Tensor) -> Tensor:
        features = self.lesson.features if self.lesson else None
        with self.precision.autocast(), outputs_of(self.module, features.matches if features else ()) as own:
            logits = self.module(images).float()
        hard = self.how.loss(logits, targets, 0.0 if self.lesson else self.how.label_smoothing)
        if self.lesson is None:
            return hard
        teacher = self.lesson.module
        with (
            torch.no_grad(),
            self.precision.autocast(),
            outputs_of(teacher, features.matches if features else ()) as theirs,
        ):
            soft = teacher(images).float()
        share = self.how.distillation
        loss = (1 - share) * hard + share * distillation_loss(logits, soft, self.how.temperature)
        return loss + self.how.features * features.loss(own, theirs) if features else loss


def needs_adaptive(module: nn.Module) -> bool:
    """Whether no batch norm makes a network indifferent to the scale of its weights, as the recipes' SGD wants it.

    SqueezeNet's last ReLU dies under it: 10 % on digits, 97 % with AdamW (Loshchilov and Hutter 2019).
    """
    return not any(isinstance(layer, nn.modules.batchnorm._BatchNorm) for layer in module.modules())


def _optimizer(parameters: list[nn.Parameter], how: Training) -> torch.optim.Optimizer:
    groups = [
        {"params": [value for value in parameters if value.dim() > 1], "weight_decay": how.weight_decay},
        {"params": [value for value in parameters if value.dim() <= 1], "weight_decay": 0.0},
    ]
    if how.adaptive:
        groups[0]["weight_decay"] = ADAM_DECAY
        return torch.optim.AdamW(groups, lr=ADAM_SHARE * how.learning_rate)
    return torch.optim.SGD(groups, lr=how.learning_rate, momentum=0.9, nesterov=True)
