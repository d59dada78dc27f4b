"""How a pruning criterion ranks, with the pictures that it looks at."""

from __future__ import annotations

import numpy as np
import torch

from edgekit.data.split import Data
from edgekit.graph.importance import Evidence
from edgekit.model import Task
from edgekit.recipe import LOOK_AT_PICTURES, PruneOptions
from edgekit.stages.losses import loss_of
from edgekit.stages.pruning import Ranking


def ranking_of(options: PruneOptions, data: Data | None, task: Task) -> Ranking:
    """As the options say; raises `ValueError` where the criterion looks at pictures and there are none."""
    evidence = None
    if options.criterion in LOOK_AT_PICTURES:
        if data is None:
            raise ValueError(f"{options.criterion} looks at pictures")
        evidence = evidence_of(data, task, options.samples)
    return Ranking(options.criterion, options.scope, options.protect, evidence)


def evidence_of(data: Data, task: Task, samples: int) -> Evidence:
    """The first `samples` calibration pictures, which share none with the decision split, and their task's loss."""
    part = data.calibration
    indices = np.arange(min(samples, len(part)))
    loss = loss_of(task)
    return Evidence(
        images=torch.from_numpy(part.images(indices)),
        targets=None if part.targets is None else torch.from_numpy(part.targets[indices]).long(),
        loss=lambda outputs, targets: loss(outputs, targets, 0.0),
    )
