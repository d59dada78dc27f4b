"""The order in which the channels of layers that depend on each other leave, block by block."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Final

from edgekit.graph.channels import ChannelGraph, Group
from edgekit.graph.ladder import Rung, ladder
from edgekit.recipe import Scope

LAST: Final = 0.25
"""This share of a layer's channels goes only when nothing else is left: a layer of one or two channels lets nothing
through, whatever each of them seemed worth."""
Block = tuple[tuple[bool, float], int, list[int]]
"""Whether it is of a layer's last ones and its score; a class of it (so that equal scores have an order); classes."""


def blocks_of(
    channels: ChannelGraph,
    component: tuple[int, ...],
    scores: Mapping[int, float],
    multiple: int,
    scope: Scope,
) -> Iterator[Block]:
    """A component's removable blocks, with ranks that never fall.

    In the scope `layer` a block's score is the share of the component that is gone once it left.
    """
    if channels.is_free(component):
        parts = _free_parts(channels.groups[component[0]], scores, multiple)
    else:
        parts = _cut_parts(channels, component, scores, ladder(channels, component, multiple))
    floor, gone = 0.0, 0
    whole = sum(len(channels.groups[index].classes) for index in component)
    for names in parts:
        gone += len(names)
        mean = sum(scores[name] for name in names) / len(names)
        floor = gone / whole if scope == "layer" else max(floor, mean)
        yield (gone > (1 - LAST) * whole, floor), names[0], names


def _free_parts(group: Group, scores: Mapping[int, float], multiple: int) -> Iterator[list[int]]:
    ranked = sorted(group.classes.tolist(), key=lambda name: scores[name])
    first = len(ranked) % multiple or multiple
    for start, end in itertools.pairwise([0, *range(first, len(ranked) - multiple + 1, multiple)]):
        yield ranked[start:end]


def _cut_parts(
    channels: ChannelGraph, component: tuple[int, ...], scores: Mapping[int, float], rungs: Iterator[Rung]
) -> Iterator[list[int]]:
    """What leaves from one rung to the next: of each kind of channel the least important."""
    ranked: dict[int, list[int]] = {}
    names = [name for place in component for name in channels.groups[place].classes.tolist()]
    for name in sorted(names, key=lambda name: scores[name]):
        ranked.setdefault(int(channels.found.kinds[name]), []).append(name)
    for before, after in itertools.pairwise(rungs):
        yield [
            name
            for kind, own in ranked.items()
            for name in own[len(own) - before[kind] : len(own) - after[kind]]
        ]
