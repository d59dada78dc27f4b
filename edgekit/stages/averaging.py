"""The mean of a training's weights, the last ones counting most (Polyak and Juditsky 1992)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

if TYPE_CHECKING:
    from torch import nn


class WeightAverage:
    """Exponential moving averages of a network's parameters.

    Zeros that every step holds are zeros of the average. Batch-norm statistics are none of its business: those of the
    trained weights fit no average of them and are taken anew by whoever keeps it.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self._trained = module
        self._average = AveragedModel(module, multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]

    def update(self) -> None:
        """Take the network's present weights in."""
        self._average.update_parameters(self._trained)

    @property
    def module(self) -> nn.Module:
        """The network with the averaged weights."""
        return self._average.module

    def keep(self) -> None:
        """Give the averaged weights to the network that was trained, in place."""
        with torch.no_grad():
            for own, averaged in zip(
                self._trained.parameters(), self._average.module.parameters(), strict=True
            ):
                own.copy_(averaged)
