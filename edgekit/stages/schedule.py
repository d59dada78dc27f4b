"""How the learning rate goes over a training."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from edgekit.recipe import RateSchedule

RISE_OF_ONE_CYCLE = 0.2
"""The share of a one-cycle schedule in which the rate rises, where no warm-up is given."""


def schedule(
    kind: RateSchedule, optimizer: Optimizer, *, epochs: int, steps_per_epoch: int, warm_up: float | None
) -> LRScheduler:
    """The schedule of an optimizer whose rate is the peak; it moves on after every step of training.

    `one-cycle` rises from a 25th of the peak and ends far below it (Smith and Topin 2018); `cosine` rises linearly and
    falls to zero (Loshchilov and Hutter 2017). `warm_up`: the epochs in which it rises.
    """
    steps = epochs * steps_per_epoch
    if kind == "cosine":
        up = round((warm_up or 0) * steps_per_epoch)
        return LambdaLR(optimizer, lambda step: _cosine(step, steps, up))
    rise = RISE_OF_ONE_CYCLE if warm_up is None else warm_up / epochs
    return OneCycleLR(
        optimizer,
        max_lr=optimizer.param_groups[0]["lr"],
        total_steps=steps,
        pct_start=2 / steps if rise * steps == 1 else rise,  # a rise of one step makes torch's divide by zero
        cycle_momentum=False,
    )


def _cosine(step: int, steps: int, up: int) -> float:
    """The share of the peak at step `step` from 0: a rise that starts above zero, so that no step is lost on it."""
    if step < up:
        return (step + 1) / (up + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - up) / max(1, steps - up)))
