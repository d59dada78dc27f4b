"""Channel classes and groups: what must be removed together, and the parameters that it takes along."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx

from edgekit.graph.labels import Slot, label_channels

Axis = tuple[str, int]


@dataclass(frozen=True)
class Group:
    """Classes that go through the same axes of the same parameters, one channel each: a layer's width, say."""

    classes: Tensor
    """(channels,), int64: the name of each class."""
    axes: tuple[Axis, ...]
    frozen: str
    """Why none of it may go, or an empty text."""


@dataclass(frozen=True)
class ChannelGraph:
    """The channel structure of a traced network."""

    slots: tuple[Slot, ...]
    groups: tuple[Group, ...]

    @property
    def prunable(self) -> list[Group]:
        """The groups that nothing freezes."""
        return [group for group in self.groups if not group.frozen]

    def keep_masks(self, removed: Tensor) -> dict[Axis, Tensor]:
        """For each parameter axis that carries channels: which entries stay when these classes go."""
        return {(slot.parameter, slot.axis): ~torch.isin(slot.labels, removed) for slot in self.slots}

    def producers(self) -> dict[str, Tensor]:
        """Weight name → classes of its output channels."""
        return {slot.parameter: slot.labels for slot in self.slots if slot.axis == 0}

    def consumers(self) -> dict[str, Tensor]:
        """Weight name → classes of its input channels, in the order in which they arrive."""
        return {slot.parameter: slot.labels for slot in self.slots if slot.axis == 1}


def channel_graph(graph: fx.GraphModule, producers: Mapping[str, Tensor] | None = None) -> ChannelGraph:
    """Label a traced network and gather the labels into classes and groups."""
    labelling = label_channels(graph, producers)
    slots = tuple(
        Slot(slot.parameter, slot.axis, labelling.united.classes(slot.labels)) for slot in labelling.slots
    )
    frozen = {labelling.united.find(label): reason for label, reason in labelling.frozen.items()}
    frozen[0] = "not a channel of any layer"
    members: dict[int, list[Axis]] = defaultdict(list)
    for slot in slots:
        for name in torch.unique(slot.labels).tolist():
            members[name].append((slot.parameter, slot.axis))
    by_axes: dict[tuple[Axis, ...], list[int]] = defaultdict(list)
    for name in sorted(members):
        if name:
            by_axes[tuple(dict.fromkeys(members[name]))].append(name)
    return ChannelGraph(
        slots,
        tuple(
            Group(torch.tensor(names), axes, next((frozen[name] for name in names if name in frozen), ""))
            for axes, names in by_axes.items()
        ),
    )
