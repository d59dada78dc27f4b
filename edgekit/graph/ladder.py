"""Widths that layers can have together where an operator cuts their channels by place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

import torch
from torch import Tensor

from edgekit.graph.channels import ChannelGraph
from edgekit.graph.kinds import Classes, sorted_into_classes
from edgekit.graph.labels import Axis, MisfitError, label_smaller

MOST_RUNGS: Final = 64
"""A wide layer is narrowed in steps of this share of its width."""

Rung = Mapping[int, int]
"""Kind of class → how many of it stay."""


def ladder(channels: ChannelGraph, component: tuple[int, ...], multiple: int) -> Iterator[Rung]:
    """What may stay of a component's channels, from the widest to the narrowest; each lies within the one before.

    All its layers shrink in about one ratio, to multiples of `multiple` (never under it), as far as the network's
    own operators can be run at these widths; the first is the whole. Each costs a walk over a part of the network.
    """
    members = _members(channels, component)
    first = channels.walk.book.first_label
    labels = torch.cat(
        [torch.arange(first[axis], first[axis] + own + rest) for axis, (own, rest) in members.items()]
    )
    everything = _kinds(channels.found, labels)
    own = set(
        channels.found.kinds[torch.cat([channels.groups[index].classes for index in component])].tolist()
    )
    kept = {kind: count for kind, count in everything.items() if kind in own}
    yield kept
    for widths in _widths(members, multiple):
        found = _rung(channels, widths)
        if found is not None and all(
            count <= kept[kind] if kind in kept else count == everything.get(kind)
            for kind, count in found.items()
        ):
            kept = {kind: found.get(kind, 0) for kind in kept}
            yield kept


def _members(channels: ChannelGraph, component: tuple[int, ...]) -> dict[Axis, tuple[int, int]]:
    """The producers of a component's channels: how many of theirs are in it, and how many are not."""
    book = channels.walk.book
    inside = torch.isin(channels.group_of, torch.tensor(component))[channels.found.classes]
    ends = [*list(book.first_label.values())[1:], book.labels]
    counts = {
        producer: (int(inside[first:end].sum()), int((~inside[first:end]).sum()))
        for (producer, first), end in zip(book.first_label.items(), ends, strict=True)
    }
    return {producer: (own, rest) for producer, (own, rest) in counts.items() if own}


def _widths(members: Mapping[Axis, tuple[int, int]], multiple: int) -> Iterator[dict[Axis, int]]:
    """Widths in one ratio to the whole ones, rounded to multiples, from the widest to a single multiple."""
    before = {axis: own + rest for axis, (own, rest) in members.items()}
    steps = min(max(before.values()), MOST_RUNGS * multiple)
    for step in range(steps, 0, -1):
        widths = {
            axis: max(round((own * step / steps + rest) / multiple), 1) * multiple
            for axis, (own, rest) in members.items()
        }
        if widths != before and all(
            rest < widths[axis] <= own + rest for axis, (own, rest) in members.items()
        ):
            yield widths
        before = widths


def _rung(channels: ChannelGraph, widths: Mapping[Axis, int]) -> Rung | None:
    """The kinds of channels of a network with these widths, or None where it cannot be."""
    try:
        smaller = sorted_into_classes(label_smaller(channels.graph, channels.walk, widths, partly=True))
    except MisfitError:
        return None
    first = channels.walk.book.first_label
    labels = torch.cat([torch.arange(first[axis], first[axis] + width) for axis, width in widths.items()])
    return _kinds(smaller, labels)


def _kinds(found: Classes, labels: Tensor) -> dict[int, int]:
    """How many classes of each kind these labels are in."""
    kinds, counts = torch.unique(found.kinds[torch.unique(found.classes[labels])], return_counts=True)
    return dict(zip(kinds.tolist(), counts.tolist(), strict=True))
