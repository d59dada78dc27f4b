"""Which channels to remove: the least important blocks first, until the network costs what it may."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from edgekit.errors import BudgetError, InputError
from edgekit.graph.channels import ChannelGraph, Group
from edgekit.graph.ladder import Rung, ladder
from edgekit.graph.macs_counter import MacsCounter
from edgekit.units import human_count

Block = tuple[float, int, list[int]]
"""Score, a class of the block (so that equal scores have an order), classes."""


@dataclass(frozen=True)
class Choice:
    """What a budget asks to remove."""

    removed: Tensor
    """Classes, int64."""
    macs: int
    """What the network will cost."""


def choose(channels: ChannelGraph, scores: Mapping[int, float], *, macs: int, multiple: int) -> Choice:
    """Remove blocks of channels, the least important first, until at most `macs` are left.

    A group's width stays a multiple of `multiple` and never falls under it, so that kernels run full. Raises
    `InputError` where nothing can be pruned and `BudgetError` where the budget is out of reach.
    """
    if not channels.prunable:
        reasons = sorted({group.frozen for group in channels.groups})
        raise InputError(f"nothing can be pruned: {'; '.join(reasons) or 'the network has no channels'}")
    count = MacsCounter(channels)
    now, removed = count(), []
    for names in _least_first([_blocks(channels, each, scores, multiple) for each in channels.components]):
        if now <= macs:
            break
        removed.extend(names)
        count.remove(names)
        now = count()
    if now > macs:
        raise BudgetError(
            f"pruning cannot reach {human_count(macs)} MACs: {human_count(now)} are left when every layer is as "
            f"narrow as it can be (multiples of {multiple})",
            hint=f"ask for at least {now:,} MACs",
        )
    return Choice(torch.tensor(removed, dtype=torch.int64), now)


def _least_first(components: Sequence[Iterator[Block]]) -> Iterator[list[int]]:
    """The blocks of all components by score; a component's next block is only looked for when its last has left."""
    ready = [
        (*block, place) for place, blocks in enumerate(components) for block in itertools.islice(blocks, 1)
    ]
    heapq.heapify(ready)
    while ready:
        _, _, names, place = heapq.heappop(ready)
        yield names
        for block in itertools.islice(components[place], 1):
            heapq.heappush(ready, (*block, place))


def _blocks(
    channels: ChannelGraph, component: tuple[int, ...], scores: Mapping[int, float], multiple: int
) -> Iterator[Block]:
    """A component's removable blocks, with scores that never fall."""
    if channels.is_free(component):
        parts = _free_parts(channels.groups[component[0]], scores, multiple)
    else:
        parts = _cut_parts(channels, component, scores, ladder(channels, component, multiple))
    floor = 0.0
    for names in parts:
        floor = max(floor, sum(scores[name] for name in names) / len(names))
        yield floor, names[0], names


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
