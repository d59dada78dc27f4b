"""One training loop for all that trains: the baseline, recovery, quantization-aware training."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.data.batching import batches
from edgekit.data.split import Data, Indices, Split
from edgekit.errors import InputError
from edgekit.metrics import Score, metric_of
from edgekit.model import Task
from edgekit.parity import Array
from edgekit.progress import Progress
from edgekit.stages.losses import Loss, distillation_loss, loss_of

EVALUATION_BATCH = 128
RECALIBRATION = 4096
"""Pictures that batch-norm statistics are taken from, at most: more change them by less than a training step does."""
ADAM_SHARE, ADAM_DECAY, CLIP = 0.02, 0.01, 1.0
"""AdamW's rate as a share of what a recipe asks of SGD, its decay, and the norm that gradients are clipped to."""
RISE_OF_ONE_STEP = 5
"""So many steps, a fifth of which rise, make torch's schedule divide by zero."""


class DivergedError(InputError):
    """The loss stopped being finite."""


Penalty = Callable[[int, int], None]
"""What is done to the weights, in place, after step `n` (from 1) of `steps`."""


@dataclass(frozen=True)
class Training:
    """What to train for, and how; the learning rate is the peak of a one-cycle schedule (Smith and Topin 2018)."""

    task: Task
    epochs: int
    learning_rate: float
    batch_size: int
    seed: int
    device: str
    title: str
    weight_decay: float = 5e-4
    label_smoothing: float = 0.1
    distillation: float = 0.0
    temperature: float = 2.0
    adaptive: bool = False
    """AdamW on clipped gradients instead of SGD: for networks without batch norm, see `needs_adaptive`."""

    @property
    def loss(self) -> Loss:
        """What is minimised."""
        return loss_of(self.task)


def train(
    module: nn.Module,
    data: Data,
    how: Training,
    progress: Progress,
    *,
    teacher: nn.Module | None = None,
    masks: Mapping[str, Tensor] | None = None,
    penalty: Penalty | None = None,
) -> None:
    """Train in place: SGD with Nesterov momentum; zeros in `masks` (name → bool) stay zero after every step.

    A `penalty` changes weights after every step, with the optimizer's rate left out of it, as AdamW's decay does.
    With a teacher the loss is (1 - d)·the task's + d·T²·KL(teacher ‖ student) at temperature T
    (Hinton et al. 2015). The same seed, data and machine give the same weights. Raises `DivergedError` when
    the loss stops being finite.
    """
    if data.train is None or data.train.targets is None:
        raise InputError(f"{how.title} needs labelled pictures, and {data.name} has none")
    torch.manual_seed(how.seed)
    rng = np.random.default_rng(how.seed)
    on_device(module, how.device)
    steps = math.ceil(len(data.train) / how.batch_size)
    loop = _Loop(module, how, steps, teacher, masks=masks or {}, penalty=penalty)
    with progress.task(how.title, how.epochs * loop.steps_per_epoch) as advance:
        for epoch in range(how.epochs):
            for images, targets in batches(data.train, how.batch_size, rng=rng, augment=True):
                loss = loop.step(_on(images, how.device), torch.from_numpy(targets).to(how.device))
                advance(note=f"epoch {epoch + 1}/{how.epochs}, loss {loss:.3f}")
    on_host(module)


class _Loop:
    def __init__(
        self,
        module: nn.Module,
        how: Training,
        steps_per_epoch: int,
        teacher: nn.Module | None,
        *,
        masks: Mapping[str, Tensor],
        penalty: Penalty | None,
    ) -> None:
        self.module, self.how, self.steps_per_epoch = module, how, steps_per_epoch
        self.penalty, self.steps, self.done = penalty, how.epochs * steps_per_epoch, 0
        self.teacher = None if teacher is None else on_device(teacher, how.device).eval()
        parameters = dict(module.named_parameters())
        self.masked = [(parameters[name], mask.to(how.device)) for name, mask in masks.items()]
        self.optimizer = _optimizer(list(parameters.values()), how)
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer,
            max_lr=self.optimizer.param_groups[0]["lr"],
            total_steps=self.steps,
            pct_start=0.4 if self.steps == RISE_OF_ONE_STEP else 0.2,
            cycle_momentum=False,
        )

    def step(self, images: Tensor, targets: Tensor) -> float:
        loss = self._loss(images, targets)
        if not torch.isfinite(loss):
            raise DivergedError(
                f"{self.how.title}: the loss is no longer finite",
                hint="a smaller learning rate in the recipe, or look for NaN in the data",
            )
        self.optimizer.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        if self.how.adaptive:
            nn.utils.clip_grad_norm_(self.module.parameters(), CLIP)
        self.optimizer.step()
        self.schedule.step()
        self.done += 1
        with torch.no_grad():
            if self.penalty is not None:
                self.penalty(self.done, self.steps)
            for parameter, mask in self.masked:
                parameter.masked_fill_(~mask, 0)  # momentum of what a dead channel gets can be infinite
        return float(loss.detach())

    def _loss(self, images: Tensor, targets: Tensor) -> Tensor:
        logits = self.module(images)
        hard = self.how.loss(logits, targets, 0.0 if self.teacher else self.how.label_smoothing)
        if self.teacher is None:
            return hard
        with torch.no_grad():
            soft = self.teacher(images)
        share = self.how.distillation
        return (1 - share) * hard + share * distillation_loss(logits, soft, self.how.temperature)


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


def recalibrate(module: nn.Module, split: Split, device: str) -> None:
    """Batch-norm statistics anew, in place: the plain average over pictures of a split, unaugmented.

    Running averages lag behind weights that still moved (with momentum 0.01, by hundreds of steps), and statistics of
    the weights before zeros or cuts can take a network to chance that is as good as it was.
    """
    norms = [layer for layer in module.modules() if isinstance(layer, nn.modules.batchnorm._BatchNorm)]
    if not norms:
        return
    momenta = [layer.momentum for layer in norms]
    for layer in norms:
        layer.reset_running_stats()
        layer.momentum = None  # torch's sign for a cumulative average
    on_device(module, device).eval()
    for layer in norms:
        layer.train()
    with torch.no_grad():
        for indices in _chunks(np.arange(0, len(split), math.ceil(len(split) / RECALIBRATION))):
            module(_on(split.images(indices), device))
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    on_host(module).eval()


def outputs(module: nn.Module, split: Split, device: str) -> Array:
    """The network's outputs for a whole split, float32 (n, …), in its order."""
    on_device(module, device).eval()
    with torch.no_grad():
        parts = [
            module(_on(split.images(indices), device)).cpu().numpy()
            for indices in _chunks(np.arange(len(split)))
        ]
    on_host(module)
    return np.concatenate(parts)


def on_device(module: nn.Module, device: str) -> nn.Module:
    """Move a network, in place, to where it trains, its weights channels-last: half the time of NCHW on CPUs."""
    return module.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def on_host(module: nn.Module) -> nn.Module:
    """Move a network back, in place, to the CPU and to contiguous weights, as exporters and files want them."""
    return module.to("cpu", memory_format=torch.contiguous_format)  # type: ignore[call-overload, no-any-return]


def _chunks(indices: Indices) -> list[Indices]:
    return np.array_split(indices, max(1, math.ceil(len(indices) / EVALUATION_BATCH)))


def _on(images: np.ndarray[tuple[int, ...], np.dtype[np.float32]], device: str) -> Tensor:
    return torch.from_numpy(images).to(device, memory_format=torch.channels_last)


def score(task: Task, outputs: Array, split: Split) -> Score | None:
    """How right the outputs (n, classes, …) are, or None where the split has no true answers."""
    return None if split.targets is None else metric_of(task).score(outputs, split.targets)
