"""One way to train for all that trains: the baseline, recovery, quantization-aware training."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.data.batching import batch_sizes, batches
from edgekit.data.split import Data, Split
from edgekit.errors import EdgekitError, InputError
from edgekit.model import Task
from edgekit.progress import Progress, Silent
from edgekit.recipe import MixedPrecision, RateSchedule
from edgekit.stages import RejectedError
from edgekit.stages.crew import Crew, crew_for, launched, together
from edgekit.stages.features import Survivors
from edgekit.stages.judging import Best, Judge, held_out
from edgekit.stages.loop import DivergedError, Loop, lesson_of, needs_adaptive
from edgekit.stages.losses import Loss, loss_of
from edgekit.stages.passes import on_device, on_host, outputs, recalibrate, score
from edgekit.stages.repeatable import repeatable

__all__ = [
    "DivergedError",
    "Penalty",
    "Trained",
    "Training",
    "needs_adaptive",
    "on_device",
    "outputs",
    "recalibrate",
    "score",
    "train",
]

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
    The same seed, data and machine give the same weights. Raises `DivergedError` when the loss stops being finite,
    `RejectedError` where no features can be matched, or too few pictures are there to hold any out.
    """
    work = Work(module, how, teacher, survivors, masks or {}, penalty)
    return work.done(data, progress, crew_for(module, work, how.device))


@dataclass(frozen=True, eq=False)
class Work:
    """All that a process must know to take part in a training, but the pictures."""

    module: nn.Module
    how: Training
    teacher: nn.Module | None
    survivors: tuple[Survivors, Survivors]
    masks: Mapping[str, Tensor]
    penalty: Penalty | None

    def done(self, data: Data, progress: Progress, crew: Crew) -> Trained:
        """Train as `train` says, together with the other processes of the crew."""
        module, how = self.module, self.how
        split, judge = _judged(_labelled(data, how), how)
        sizes = _sizes(split, how, crew)
        torch.manual_seed(how.seed + crew.rank)  # what drops out at random is not the same in each process
        rng = np.random.default_rng(how.seed)
        on_device(module, how.device)
        teacher = self.teacher
        lesson = None if teacher is None else lesson_of(module, teacher, self.survivors, how, split)
        loop = Loop(module, how, len(sizes), crew, lesson=lesson, masks=self.masks, penalty=self.penalty)
        epoch = 0
        with repeatable(), progress.task(how.title, how.epochs * len(sizes)) as advance:
            for epoch in range(1, how.epochs + 1):
                parts = batches(split, how.batch_size, rng=rng, augment=True, part=(crew.rank, crew.size))
                for size, (images, targets) in zip(sizes, parts, strict=True):
                    loss = loop.step(images, targets, size)
                    advance(note=f"epoch {epoch}/{how.epochs}, loss {loss:.3f}")
                if judge is None:
                    continue
                enough = judge.look(epoch, loop.result) if crew.rank == 0 else None
                if crew.agreed(enough) and epoch < how.epochs:
                    said = f"stopped after {epoch} of {how.epochs} epochs, loss {loss:.3f}"
                    advance((how.epochs - epoch) * len(sizes), note=said)
                    break
        crew.free()
        return self._kept(epoch, judge, loop)

    def _kept(self, epochs: int, judge: Judge | None, loop: Loop) -> Trained:
        """The network with the weights that are kept, in the first process."""
        if judge and judge.best:
            judge.keep(self.module)
        elif loop.average:
            loop.average.keep()
        on_host(self.module)
        return Trained(epochs, judge.best if judge else None)


def _labelled(data: Data, how: Training) -> Split:
    """The pictures to train on; raises `InputError` where there are none."""
    if data.train is None or data.train.targets is None:
        raise InputError(f"{how.title} needs labelled pictures, and {data.name} has none")
    return data.train


def _sizes(split: Split, how: Training, crew: Crew) -> list[int]:
    """Of all batches of an epoch; raises `InputError` where one has too few pictures for all processes."""
    sizes = batch_sizes(len(split), how.batch_size)
    if min(sizes) < crew.size:
        raise InputError(
            f"{how.title}: {crew.size} processes share batches of {min(sizes)} pictures",
            hint="launch fewer processes, or give a larger batch_size",
        )
    return sizes


def _judged(train: Split, how: Training) -> tuple[Split, Judge | None]:
    """What is trained on, and who judges epochs on the rest of it, if anybody does."""
    if how.held_out is None:
        return train, None
    rest, apart = held_out(train, how.held_out)
    return rest, Judge(how.task, rest, apart, how.device, how.patience)


def follow(data: Data, device: str) -> None:
    """In every process of a launch but the first: take part in each training until the first one is done.

    `data` is what the first one has. What goes wrong in a training goes wrong in all, and the first one tells.
    """
    crew = together(device)
    crew.gathered(data.sha256)
    while isinstance(work := crew.received(), Work):
        with suppress(EdgekitError, RejectedError):
            work.done(data, Silent(), crew)
    crew.leave()


@contextmanager
def leading(data: Data, device: str) -> Iterator[None]:
    """In the first process of a launch: the others take part in what is trained inside the block, and leave behind it.

    Alone, nothing happens. Raises `InputError` where the others have other pictures.
    """
    if not launched():
        yield
        return
    crew = together(device)
    every = crew.gathered(data.sha256)
    try:
        if len(set(every)) > 1:
            others = [str(rank) for rank, found in enumerate(every) if found != data.sha256]
            raise InputError(
                f"process {', '.join(others)} of {crew.size} has other pictures than the first",
                hint="the same --data on every machine",
            )
        yield
    except EdgekitError:
        crew.dismiss()
        raise
    crew.dismiss()
