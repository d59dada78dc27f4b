"""Channel classes and groups: what must be removed together, and the parameters that it takes along."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, fx

from edgekit.graph.kinds import Classes, mixed, sorted_into_classes
from edgekit.graph.labels import Axis, Use, Walk, label_channels
from edgekit.graph.labels.value import label


@dataclass(frozen=True)
class Slot:
    """One axis of one parameter, and the class of the channel that each of its entries belongs to."""

    parameter: str
    axis: int
    labels: Tensor
    """(blocks, entries), int64; 0 is no channel. The blocks are those of axis 0, in a grouped convolution."""


@dataclass(frozen=True)
class Group:
    """Classes that go through the same axes of the same parameters: a layer's width, say."""

    classes: Tensor
    """(channels,), int64: the name of each class."""
    axes: tuple[Axis, ...]
    frozen: str
    """Why none of it may go, or an empty text."""


@dataclass(frozen=True)
class ChannelGraph:
    """The channel structure of a traced network."""

    graph: fx.GraphModule
    walk: Walk
    found: Classes
    slots: tuple[Slot, ...]
    groups: tuple[Group, ...]
    components: tuple[tuple[int, ...], ...]
    """Indices of the groups whose widths depend on each other, because an operator cuts them by place."""

    @property
    def prunable(self) -> list[Group]:
        """The groups that nothing freezes."""
        return [group for group in self.groups if not group.frozen]

    @cached_property
    def group_of(self) -> Tensor:
        """(labels,), int64: the index of each class's group; -1 for what is no class's name."""
        found = torch.full((len(self.found.classes),), -1)
        for index, group in enumerate(self.groups):
            found[group.classes] = index
        return found

    def classes_of(self, tokens: Tensor) -> Tensor:
        """The class of each token, in the same shape; 0 where there is no channel."""
        return self.found.classes[label(tokens)]

    def is_free(self, component: tuple[int, ...]) -> bool:
        """Whether any of a component's channels may go: it is one group of classes that are all of a kind.

        Beside channels that must stay, an operator that cuts both by place decides how many.
        """
        classes = self.groups[component[0]].classes
        alike = bool((self.found.kinds[classes] == self.found.kinds[classes[0]]).all())
        return len(component) == 1 and alike and component[0] not in self._beside_frozen

    @cached_property
    def _beside_frozen(self) -> frozenset[int]:
        """The groups that one operator cuts together with a frozen one."""
        found: set[int] = set()
        for labels in self.walk.cut:
            indices = {index for index in self.group_of[self.found.classes[labels]].tolist() if index >= 0}
            if any(self.groups[index].frozen for index in indices):
                found |= indices
        return frozenset(found)

    def touches_weights(self, group: Group) -> bool:
        """Whether a group is a layer's width, and not only the size of a table or of a map."""
        return bool(self._weights & set(group.axes))

    @cached_property
    def _weights(self) -> frozenset[Axis]:
        uses = (use for uses in self.walk.uses.values() for use in uses)
        return frozenset((use.parameter, use.axis) for use in uses if use.role != "other")

    def producers(self) -> dict[str, Tensor]:
        """Weight name → classes of its output channels."""
        return self._by_role("output")

    def consumers(self) -> dict[str, Tensor]:
        """Weight name → classes of its input channels, in the order in which they arrive."""
        return self._by_role("input")

    def _by_role(self, role: str) -> dict[str, Tensor]:
        return {
            use.parameter: self.found.classes[label(use.tokens)].flatten()
            for uses in self.walk.uses.values()
            for use in uses
            if use.role == role
        }


def channel_graph(graph: fx.GraphModule) -> ChannelGraph:
    """Label a traced network and gather the labels into classes and groups."""
    walk = label_channels(graph)
    found = sorted_into_classes(walk)
    uses = {(use.parameter, use.axis): use for uses in walk.uses.values() for use in uses}
    slots = tuple(Slot(name, axis, found.classes[label(use.tokens)]) for (name, axis), use in uses.items())
    frozen = _frozen(walk, found)
    groups = _groups(slots, frozen, len(found.classes))
    unlinked = ChannelGraph(graph, walk, found, slots, groups, ())
    return ChannelGraph(graph, walk, found, slots, groups, _components(unlinked))


def _frozen(walk: Walk, found: Classes) -> dict[int, str]:
    """Class → the first reason why it must stay."""
    reasons: dict[int, str] = {}
    for labels, reason in walk.frozen:
        for name in torch.unique(found.classes[labels]).tolist():
            reasons.setdefault(name, reason)
    return reasons


def _groups(slots: tuple[Slot, ...], frozen: Mapping[int, str], count: int) -> tuple[Group, ...]:
    """Classes that occur equally often in the same slots, and are free or frozen for the same reason."""
    marks = torch.zeros(count, dtype=torch.int64)
    present = [torch.unique(slot.labels, return_counts=True) for slot in slots]
    for place, (names, times) in enumerate(present):
        marks.index_add_(0, names, mixed(times * len(slots) + place))
    reasons = {reason: place for place, reason in enumerate(dict.fromkeys(frozen.values()), start=1)}
    if frozen:
        why = torch.tensor([reasons[reason] for reason in frozen.values()])
        marks.index_add_(0, torch.tensor(list(frozen)), mixed(-why))
    used = (
        torch.unique(torch.cat([names for names, _ in present]))
        if present
        else torch.zeros(0, dtype=torch.int64)
    )
    used = used[used != 0]
    kinds, index = torch.unique(marks[used], return_inverse=True)
    group_of = torch.full((count,), -1)
    group_of[used] = index
    axes: list[list[Axis]] = [[] for _ in kinds]
    for slot, (names, _) in zip(slots, present, strict=True):
        for group in torch.unique(group_of[names]).tolist():
            if group >= 0:
                axes[group].append((slot.parameter, slot.axis))
    members = [used[index == group] for group in range(len(kinds))]
    made = [
        Group(classes, tuple(where), frozen.get(int(classes[0]), ""))
        for classes, where in zip(members, axes, strict=True)
    ]
    return tuple(sorted(made, key=lambda group: int(group.classes[0])))


def _components(channels: ChannelGraph) -> tuple[tuple[int, ...], ...]:
    """Groups joined where one operator cuts the axis along which they lie; frozen ones are left out."""
    leader = list(range(len(channels.groups)))

    def find(index: int) -> int:
        while leader[index] != index:
            index = leader[index]
        return index

    for labels in channels.walk.cut:
        names = torch.unique(channels.found.classes[labels])
        first, *others = {find(index) for index in channels.group_of[names].tolist() if index >= 0} or {0}
        for other in others:
            leader[other] = first
    members: dict[int, list[int]] = {}
    for index, group in enumerate(channels.groups):
        if not group.frozen:
            members.setdefault(find(index), []).append(index)
    return tuple(tuple(indices) for indices in members.values())


def axis_uses(walk: Walk) -> dict[Axis, list[Use]]:
    """Parameter axis → what meets it, at each node that reads it."""
    found: dict[Axis, list[Use]] = {}
    for uses in walk.uses.values():
        for use in uses:
            found.setdefault((use.parameter, use.axis), []).append(use)
    return found
