"""Which epoch of a training is kept, and when it is not worth going on."""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from edgekit.data.split import Chosen, cut
from edgekit.stages import RejectedError
from edgekit.stages.passes import outputs, recalibrate, score

if TYPE_CHECKING:
    from torch import Tensor, nn

    from edgekit.data.split import Split
    from edgekit.model import Task


def held_out(split: Split, share: float) -> tuple[Split, Split]:
    """A labelled training split without a share of each class, and that share; of masks, without a share of all.

    The cut knows no seed. Neither the test split nor the one that decisions are taken on has a part in it.
    Raises `RejectedError` where nothing would be left to train on.
    """
    assert split.targets is not None
    classes = split.targets if split.targets.ndim == 1 else np.zeros(len(split), dtype=np.int64)
    keys = [index.to_bytes(8, "little") for index in range(len(split))]
    rest, judged = cut(keys, classes, np.arange(len(split)), share)
    if not len(rest):
        raise RejectedError(
            f"held_out = {share:g} takes all {len(split)} training pictures: at least one of each class"
        )
    return Chosen(split, rest), Chosen(split, judged)


@dataclass(frozen=True)
class Best:
    """The epoch, from 1, whose weights are kept, and its accuracy on the pictures held out."""

    epoch: int
    accuracy: float


class Judge:
    """Keeps the weights of the best epoch so far, judged as they would be kept: with statistics of their own."""

    def __init__(self, task: Task, train: Split, judged: Split, device: str, patience: int | None) -> None:
        self._task, self._train, self._judged, self._device = task, train, judged, device
        self._patience = patience
        self._state: dict[str, Tensor] = {}
        self.best: Best | None = None

    def look(self, epoch: int, module: nn.Module) -> bool:
        """Judge a network after epoch `epoch`; whether it has not been bettered for as long as patience lasts."""
        candidate = copy.deepcopy(module)
        recalibrate(candidate, self._train, self._device)
        found = score(self._task, outputs(candidate, self._judged, self._device), self._judged)
        assert found is not None
        if self.best is None or found.value > self.best.accuracy:
            self.best = Best(epoch, found.value)
            self._state = {name: value.clone() for name, value in candidate.state_dict().items()}
        return self._patience is not None and epoch - self.best.epoch >= self._patience

    def keep(self, module: nn.Module) -> None:
        """Give a network, in place, the weights of the best epoch."""
        module.load_state_dict(self._state)
