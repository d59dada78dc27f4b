"""The scale that batch norm gives a channel (Liu et al. 2017, "Network Slimming")."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.graph.channels import ChannelGraph
from edgekit.graph.importance import totals
from edgekit.graph.refit import finite_tensor
from edgekit.graph.trace import arguments, operators, parameter_of


def scale(module: nn.Module, channels: ChannelGraph) -> Tensor:
    """(labels,), float64: |γ| of each class, the sum over all batch norms that it goes through; NaN where none is.

    Not relative to the group: that γ can be compared across layers is the criterion's point. Raises
    `InputError` for a network without batch norm.
    """
    found, met = totals.zeros(channels), totals.zeros(channels)
    scales = scales_of(channels)
    for slot in channels.slots:
        if slot.parameter in scales:
            gamma = totals.by_entry(finite_tensor(module, slot.parameter).abs(), slot)
            totals.add(found, slot, gamma)
            totals.add(met, slot, torch.ones_like(gamma))
    if not bool(met.any()):
        raise InputError(
            "the criterion batch-norm-scale ranks channels by their batch norm, and this network has none",
            hint="choose another criterion: l2 needs weights alone",
        )
    return torch.where(met > 0, found, torch.nan)


def scales_of(channels: ChannelGraph) -> set[str]:
    """The names of the batch norms' scales."""
    norms = (arguments(node) for node, operator in operators(channels.graph) if operator == "batch_norm")
    return {name for call in norms if (name := parameter_of(call["weight"])) is not None}
