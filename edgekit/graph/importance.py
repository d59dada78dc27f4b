"""How much a channel matters: the norm of all that goes with it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.graph.channels import ChannelGraph, Slot
from edgekit.graph.refit import tensor_of


def importance(module: nn.Module, channels: ChannelGraph) -> dict[int, float]:
    """Class → its squared L2 norm over all its slots, relative to its group (Li et al. 2017; Fang et al. 2023).

    Relative to the group, because layers differ in scale by more than their channels do. Only weights of
    convolutions and linear layers count: a batch-norm scale is already in the next layer's reach.
    """
    totals = torch.zeros(len(channels.found.classes), dtype=torch.float64)
    parameters = {name for name, _ in module.named_parameters()}
    for slot in channels.slots:
        if slot.parameter in parameters and (weight := tensor_of(module, slot.parameter)).dim() >= 2:
            norms = _norms(weight, slot)
            if not torch.isfinite(norms).all():
                raise InputError(
                    f"{slot.parameter} holds NaN or infinite weights", hint="train or load the network again"
                )
            # A layer that carries each channel several times counts it once, by the mean of its entries.
            share = len(torch.unique(slot.labels)) / slot.labels.numel()
            relative = norms / norms.mean().clamp_min(1e-30) * share
            totals.index_add_(0, slot.labels.flatten(), relative.flatten())
    for group in channels.groups:
        mean = totals[group.classes].mean()
        totals[group.classes] /= mean if mean > 0 else 1.0
    names = (
        torch.cat([group.classes for group in channels.groups]) if channels.groups else torch.zeros(0).long()
    )
    return dict(zip(names.tolist(), totals[names].tolist(), strict=True))


def _norms(weight: Tensor, slot: Slot) -> Tensor:
    """(blocks, entries): the squared norm of each entry of an axis, in each block of axis 0."""
    squares = weight.square().reshape(len(slot.labels), -1, *weight.shape[1:])
    others = [axis for axis in range(1, squares.dim()) if axis != slot.axis + 1]
    return squares.sum(others, dtype=torch.float64).cpu()
