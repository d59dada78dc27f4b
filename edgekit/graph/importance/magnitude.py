"""The norm of all that goes with a channel (Li et al. 2017, "Pruning Filters"; over groups: Fang et al. 2023)."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from edgekit.graph.channels import ChannelGraph
from edgekit.graph.importance import totals
from edgekit.graph.refit import finite_tensor


def l1(module: nn.Module, channels: ChannelGraph) -> Tensor:
    """(labels,), float64: the L1 norm of each class over its slots, relative to its group."""
    return _norm(module, channels, torch.abs)


def l2(module: nn.Module, channels: ChannelGraph) -> Tensor:
    """(labels,), float64: the squared L2 norm of each class over its slots, relative to its group."""
    return _norm(module, channels, torch.square)


def _norm(module: nn.Module, channels: ChannelGraph, size: Callable[[Tensor], Tensor]) -> Tensor:
    """Only weights of convolutions and linear layers count: a norm's scale is already in the next layer's reach."""
    found = totals.zeros(channels)
    parameters = {name for name, _ in module.named_parameters()}
    for name, slots in totals.by_parameter(channels).items():
        if name not in parameters or (weight := finite_tensor(module, name)).dim() < 2:
            continue
        sizes = totals.folded(size(weight), slots)
        for slot in slots:
            norms = totals.by_entry(sizes, slot)
            # A layer that carries each channel several times counts it once, by the mean of its entries.
            share = len(torch.unique(slot.labels)) / slot.labels.numel()
            totals.add(found, slot, norms / norms.mean().clamp_min(1e-30) * share)
    return totals.relative_to_group(found, channels)
