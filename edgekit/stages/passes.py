"""What runs a network over a whole split: outputs, batch-norm statistics; and where a network computes."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, nn

from edgekit.data.split import Images, Indices, Split
from edgekit.metrics import Score, metric_of
from edgekit.model import Task
from edgekit.parity import Array

EVALUATION_BATCH = 128
RECALIBRATION = 4096
"""Pictures that batch-norm statistics are taken from, at most: more change them by less than a training step does."""


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
            module(pictures_on(split.images(indices), device))
    for layer, momentum in zip(norms, momenta, strict=True):
        layer.momentum = momentum
    on_host(module).eval()


def outputs(module: nn.Module, split: Split, device: str) -> Array:
    """The network's outputs for a whole split, float32 (n, …), in its order."""
    on_device(module, device).eval()
    with torch.no_grad():
        parts = [
            module(pictures_on(split.images(indices), device)).cpu().numpy()
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


def pictures_on(images: Images, device: str) -> Tensor:
    """Pictures (n, C, H, W) where a network computes, channels-last as its weights are."""
    return torch.from_numpy(images).to(device, memory_format=torch.channels_last)


def score(task: Task, outputs: Array, split: Split) -> Score | None:
    """How right the outputs (n, classes, …) are, or None where the split has no true answers."""
    return None if split.targets is None else metric_of(task).score(outputs, split.targets)
