"""What training minimises, by task."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from edgekit.model import Task

SMOOTH = 1e-5
"""Keeps the Dice of an empty mask defined."""

Loss = Callable[[Tensor, Tensor, float], Tensor]
"""Outputs, true classes and label smoothing → a scalar."""


def loss_of(task: Task) -> Loss:
    """The loss on true classes."""
    return _LOSSES[task]


def classification_loss(logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:
    """Cross-entropy of logits (N, classes) for class indices (N,)."""
    return F.cross_entropy(logits, targets, label_smoothing=label_smoothing)


def segmentation_loss(logits: Tensor, targets: Tensor, label_smoothing: float) -> Tensor:  # noqa: ARG001
    """Per pixel and per mask, for logits (N, classes, H, W) and class indices (N, H, W).

    One class: 0.5 · binary cross-entropy + Dice loss (UNeXt, Valanarasu and Patel 2022); several: cross-entropy
    + Dice loss, the mean over classes. Borders are as sharp as they were drawn: labels are not smoothed.
    """
    if logits.shape[1] == 1:
        masks = targets[:, None].to(logits.dtype)
        return 0.5 * F.binary_cross_entropy_with_logits(logits, masks) + _dice_loss(logits.sigmoid(), masks)
    masks = F.one_hot(targets.long(), logits.shape[1]).movedim(-1, 1).to(logits.dtype)
    return F.cross_entropy(logits, targets.long()) + _dice_loss(logits.softmax(1), masks)


def distillation_loss(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """T² · KL(teacher ‖ student) at temperature T, the mean over pictures or pixels (Hinton et al. 2015).

    Logits (N, classes, …); one class alone is a choice between it and the background.
    """
    divergence = F.kl_div(
        _log_shares(logits / temperature),
        _log_shares(teacher / temperature),
        reduction="none",
        log_target=True,
    )
    return temperature**2 * divergence.sum(1).mean()


def _dice_loss(shares: Tensor, masks: Tensor) -> Tensor:
    """1 - Dice of each picture and class (Milletari et al. 2016), the mean; both (N, classes, H, W)."""
    both = (shares * masks).sum((2, 3))
    return 1 - ((2 * both + SMOOTH) / (shares.sum((2, 3)) + masks.sum((2, 3)) + SMOOTH)).mean()


def _log_shares(logits: Tensor) -> Tensor:
    if logits.shape[1] == 1:
        return torch.cat([F.logsigmoid(logits), F.logsigmoid(-logits)], dim=1)
    return F.log_softmax(logits, 1)


_LOSSES: Mapping[Task, Loss] = {"classification": classification_loss, "segmentation": segmentation_loss}
