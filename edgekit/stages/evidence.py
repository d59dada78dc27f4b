"""The pictures that a pruning criterion looks at."""

from __future__ import annotations

import numpy as np
import torch

from edgekit.data.split import Data
from edgekit.graph.importance import Evidence
from edgekit.model import Task
from edgekit.stages.losses import loss_of


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
