"""Scores of a parameter's entries, summed over all slots of a class."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from edgekit.graph.channels import ChannelGraph, Slot


def by_parameter(channels: ChannelGraph) -> dict[str, list[Slot]]:
    """The slots of each parameter: a layer's outputs and its inputs, say."""
    found: dict[str, list[Slot]] = {}
    for slot in channels.slots:
        found.setdefault(slot.parameter, []).append(slot)
    return found


def folded(values: Tensor, slots: Sequence[Slot]) -> Tensor:
    """Summed over the axes behind the last that these slots look at: a kernel's places, once for all slots."""
    behind = max(slot.axis for slot in slots) + 1
    return values.flatten(behind).sum(-1) if values.dim() > behind else values


def by_entry(values: Tensor, slot: Slot) -> Tensor:
    """(blocks, entries), float64: the sum of a parameter-shaped tensor over each entry of a slot's axis.

    The blocks are those of axis 0 in a grouped convolution. Sums are taken in the tensor's own type: torch adds
    pairwise, and a copy in float64 of all weights takes longer than all that is done with it.
    """
    blocks = values.reshape(len(slot.labels), -1, *values.shape[1:])
    others = [axis for axis in range(1, blocks.dim()) if axis != slot.axis + 1]
    return (blocks.sum(others) if others else blocks).double().cpu()


def zeros(channels: ChannelGraph) -> Tensor:
    """A place for each class, float64."""
    return torch.zeros(len(channels.found.classes), dtype=torch.float64)


def add(totals: Tensor, slot: Slot, entries: Tensor) -> None:
    """Add the scores (blocks, entries) of a slot to its classes, in place."""
    totals.index_add_(0, slot.labels.flatten(), entries.flatten())


def relative_to_group(totals: Tensor, channels: ChannelGraph) -> Tensor:
    """Each class against the mean of its group: layers differ in scale by more than their channels do."""
    for group in channels.groups:
        mean = totals[group.classes].mean()
        totals[group.classes] /= mean if mean > 0 else 1.0
    return totals
