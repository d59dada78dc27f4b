"""Pictures and answers for a training that runs in another process: an epoch at a time, as files."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import torch

from edgekit.data.batching import batch_count, batches
from edgekit.data.split import Split
from edgekit.recipe import TfmotTraining
from edgekit.stages import Context
from edgekit.stages.training import on_device


class Epochs:
    """The augmented epochs of a labelled split, and what the unpruned network says of their pictures.

    Only the epoch that is being trained on and the next one are on disk.
    """

    def __init__(self, split: Split, context: Context, options: TfmotTraining) -> None:
        self.split, self.context, self.options = split, context, options
        self.steps = batch_count(len(split), options.batch_size)
        self.classes = context.baseline.source.num_classes
        self._rng = np.random.default_rng(context.seed)
        self._teacher = on_device(copy.deepcopy(context.baseline.module), context.torch_device).eval()

    def write(self, folder: Path, epoch: int) -> None:
        """Write the next epoch, whose number is told, and drop the last but one; in order, each once.

        `answers` are one-hot classes and the teacher's logits side by side, (n, 2 · classes); they come last, so that
        the pictures are there when they are.
        """
        for name in ("images", "answers"):
            (folder / f"{name}-{epoch - 2}.npy").unlink(missing_ok=True)
        if epoch >= self.options.epochs:
            return
        images, answers = [], []
        for pictures, targets in batches(self.split, self.options.batch_size, rng=self._rng, augment=True):
            true = np.eye(self.classes, dtype=np.float32)[targets]
            images.append(pictures)
            answers.append(np.concatenate([true, self._soft(pictures)], axis=1))
        for name, values in (("images", images), ("answers", answers)):
            np.save(folder / f".{name}.npy", np.concatenate(values))
            (folder / f".{name}.npy").replace(folder / f"{name}-{epoch}.npy")

    def _soft(
        self, pictures: np.ndarray[tuple[int, ...], np.dtype[np.float32]]
    ) -> np.ndarray[tuple[int, ...], np.dtype[np.float32]]:
        with torch.no_grad():
            given = self._teacher(torch.from_numpy(pictures).to(self.context.torch_device))
        logits: np.ndarray[tuple[int, ...], np.dtype[np.float32]] = given.cpu().numpy()
        return logits
