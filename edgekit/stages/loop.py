"""One step of training after another: the loss, the optimizer, and what must hold after each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.stages.averaging import WeightAverage
from edgekit.stages.features import Features, Survivors, match_features, outputs_of
from edgekit.stages.losses import distillation_loss
from edgekit.stages.passes import on_device, pictures_on
from edgekit.stages.precision import precision
from edgekit.stages.schedule import schedule

if TYPE_CHECKING:
    from edgekit.data.split import Images, Split, Targets
    from edgekit.stages.crew import Crew
    from edgekit.stages.training import Penalty, Training

ADAM_SHARE, ADAM_DECAY, CLIP = 0.02, 0.01, 1.0
"""AdamW's rate as a share of what a recipe asks of SGD, its decay, and the norm that gradients are clipped to."""
MATCHED_ON = 64
"""Pictures that layers are matched on, and the scale of their features is taken from."""


class DivergedError(InputError):
    """The loss stopped being finite."""


@dataclass(frozen=True, eq=False)
class Lesson:
    """A teacher where it teaches, and the features that are matched, if any."""

    module: nn.Module
    features: Features | None


def lesson_of(
    module: nn.Module,
    teacher: nn.Module,
    survivors: tuple[Survivors, Survivors],
    how: Training,
    split: Split,
) -> Lesson:
    """Ready to teach; raises `RejectedError` where features are asked for and none can be matched."""
    on_device(teacher, how.device).eval()
    if not how.features:
        return Lesson(teacher, None)
    images = pictures_on(split.images(np.arange(min(len(split), MATCHED_ON))), how.device)
    modes = [(layer, layer.training) for layer in module.modules()]
    features = match_features(module, teacher, survivors, images)
    for layer, training in modes:
        layer.training = training
    return Lesson(teacher, features)


class Loop:
    """The state of a training between two steps."""

    def __init__(
        self,
        module: nn.Module,
        how: Training,
        steps_per_epoch: int,
        crew: Crew,
        *,
        lesson: Lesson | None,
        masks: Mapping[str, Tensor],
        penalty: Penalty | None,
    ) -> None:
        self.module, self.how, self.lesson, self.crew = module, how, lesson, crew
        self.called = crew.wrapped(module)
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

    def step(self, images: Images, targets: Targets, whole: int) -> float:
        """One step on this process's pictures (n, C, H, W) of a batch of `whole`; gives the loss on all of them.

        Raises `DivergedError` where it is not finite.
        """
        device = self.how.device
        mean = self._loss(pictures_on(images, device), torch.from_numpy(targets).to(device))
        share = mean * (len(images) / whole)
        loss = self.crew.total(share)
        if not torch.isfinite(loss):
            raise DivergedError(
                f"{self.how.title}: the loss is no longer finite",
                hint="a smaller learning rate in the recipe, or look for NaN in the data",
            )
        self.optimizer.zero_grad(set_to_none=True)
        self.crew.backward(self.scaler.scale(share))
        if self.how.adaptive:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.module.parameters(), CLIP)
        self._update()
        self.done += 1
        with torch.no_grad():
            if self.penalty is not None:
                self.penalty(self.done, self.steps)
            for parameter, mask in self.masked:
                parameter.masked_fill_(~mask, 0)  # momentum of what a dead channel gets can be infinite
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
        matched = features.matches if features else ()
        with self.precision.autocast(), self.crew.sharing(), outputs_of(self.module, matched) as own:
            logits = self.called(images).float()
        hard = self.how.loss(logits, targets, 0.0 if self.lesson else self.how.label_smoothing)
        if self.lesson is None:
            return hard
        teacher = self.lesson.module
        with torch.no_grad(), self.precision.autocast(), outputs_of(teacher, matched) as theirs:
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
