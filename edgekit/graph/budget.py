"""Which channels to remove: the least important blocks first, until the network costs what it may."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from edgekit.errors import BudgetError, InputError
from edgekit.graph.blocks import Block, blocks_of
from edgekit.graph.channels import ChannelGraph
from edgekit.graph.counters import WORDS, Counter, counter_of, human, said
from edgekit.recipe import Resource, Scope


class OutOfReachError(BudgetError):
    """A budget that is missed when every layer is as narrow as it can be: `left` is what the network costs then."""

    def __init__(self, what: str, *, hint: str, resource: Resource, left: int) -> None:
        super().__init__(what, hint=hint)
        self.resource = resource
        self.left = left


@dataclass(frozen=True)
class Choice:
    """What budgets ask to remove."""

    removed: Tensor
    """Classes, int64, in the order in which they were chosen."""
    left: Mapping[Resource, int]
    """What the network will cost, by each budget."""
    step: Mapping[Resource, int]
    """What the last step took off each: with it left in, a budget would be missed."""
    multiple: int
    """What widths are multiples of."""


def choose(
    channels: ChannelGraph,
    module: nn.Module,
    scores: Mapping[int, float],
    allowed: Mapping[Resource, int],
    *,
    multiple: int,
    scope: Scope = "global",
) -> Choice:
    """Remove blocks of channels, the least important first, until no more than `allowed` is left.

    A block counts only while it helps with a budget that is not kept yet. A group's width stays a multiple of
    `multiple` and never falls under it, so that kernels run full; where that puts a budget out of reach, of half of
    it, and so on (`Choice.multiple`): a network of narrow layers has little to give in steps of 16. Groups that have
    no scores stay, and the last of a layer's channels go last (`blocks.LAST`). `scope`: blocks of all layers compete,
    or layers lose about the same share each. Raises `InputError` where nothing can be pruned and `OutOfReachError`
    where a budget is out of reach.
    """
    components = _scored(channels, scores)
    while True:
        blocks = [blocks_of(channels, each, scores, multiple, scope) for each in components]
        try:
            return _chosen(channels, module, blocks, allowed, multiple)
        except OutOfReachError:
            if multiple == 1:
                raise
            multiple //= 2


def _chosen(
    channels: ChannelGraph,
    module: nn.Module,
    components: Sequence[Iterator[Block]],
    allowed: Mapping[Resource, int],
    multiple: int,
) -> Choice:
    counters = {name: counter_of(name, channels, module) for name in allowed}
    heads = _Heads(components)
    removed: list[int] = []
    left = before = {name: counter() for name, counter in counters.items()}
    while over := [counters[name] for name, most in allowed.items() if left[name] > most]:
        names = heads.least(over)
        if not names:
            raise _out_of_reach(allowed, left)
        removed.extend(names)
        for counter in counters.values():
            counter.remove(names)
        before, left = left, {name: counter() for name, counter in counters.items()}
    step = {name: before[name] - left[name] for name in allowed}
    return Choice(torch.tensor(removed, dtype=torch.int64), left, step, multiple)


class _Heads:
    """The next block of each component; a component's next one is only looked for when its last has left."""

    def __init__(self, components: Sequence[Iterator[Block]]) -> None:
        self._components = components
        self._ready: list[tuple[tuple[bool, float], int, list[int], int]] = []
        for place in range(len(components)):
            self._refill(place)

    def least(self, counters: Sequence[Counter]) -> list[int]:
        """The least important block that lowers one of the counts; if none does, the least important of all."""
        aside = []
        chosen = None
        while self._ready and chosen is None:
            head = heapq.heappop(self._ready)
            if any(counter.lowered_by(head[2]) for counter in counters):
                chosen = head
            else:
                aside.append(head)
        if chosen is None and aside:  # what comes behind it may help
            chosen = aside.pop(0)
        for head in aside:
            heapq.heappush(self._ready, head)
        if chosen is None:
            return []
        self._refill(chosen[3])
        return chosen[2]

    def _refill(self, place: int) -> None:
        for block in itertools.islice(self._components[place], 1):
            heapq.heappush(self._ready, (*block, place))


def _scored(channels: ChannelGraph, scores: Mapping[int, float]) -> list[tuple[int, ...]]:
    """The components whose every class has a score; raises `InputError` where there is none."""
    if not channels.prunable:
        reasons = sorted({group.frozen for group in channels.groups})
        raise InputError(f"nothing can be pruned: {'; '.join(reasons) or 'the network has no channels'}")
    found = [
        component
        for component in channels.components
        if all(name in scores for index in component for name in channels.groups[index].classes.tolist())
    ]
    if not found:
        raise InputError(
            "nothing can be pruned: the criterion judges none of the channels that may go",
            hint="choose another criterion",
        )
    return found


def _out_of_reach(allowed: Mapping[Resource, int], left: Mapping[Resource, int]) -> OutOfReachError:
    name = next(name for name, most in allowed.items() if left[name] > most)
    return OutOfReachError(
        f"pruning cannot reach {said(name, allowed[name])}: {human(name, left[name])} are left "
        "when every layer is as narrow as it can be",
        hint=f"ask for at least {left[name]:,} {WORDS[name].replace('of', 'bytes of')}",
        resource=name,
        left=left[name],
    )
