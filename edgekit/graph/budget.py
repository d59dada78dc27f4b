"""Which channels to remove: the least important blocks first, until the network costs what it may."""

from __future__ import annotations

import heapq
import itertools
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, fx, nn

from edgekit.errors import BudgetError, InputError
from edgekit.graph.channels import Axis, ChannelGraph, Group
from edgekit.graph.trace import arguments, operators, parameter_of, shape_of
from edgekit.units import human_count


@dataclass(frozen=True)
class Choice:
    """What a budget asks to remove."""

    removed: Tensor
    """Classes, int64."""
    macs: int
    """What the network will cost."""


def importance(module: nn.Module, channels: ChannelGraph) -> dict[int, float]:
    """Class → its squared L2 norm over all its slots, relative to its group (Li et al. 2017; Fang et al. 2023).

    Relative to the group, because layers differ in scale by more than their channels do. Only weights of
    convolutions and linear layers count: a batch-norm scale is already in the next layer's reach.
    """
    totals: dict[int, float] = defaultdict(float)
    parameters = dict(module.named_parameters())
    for slot in channels.slots:
        weight = parameters.get(slot.parameter)
        if weight is None or weight.dim() < 2:
            continue
        if not torch.isfinite(weight).all():
            raise InputError(
                f"{slot.parameter} holds NaN or infinite weights", hint="train or load the network again"
            )
        norms = weight.detach().double().square().movedim(slot.axis, 0).flatten(1).sum(dim=1)
        for name, value in zip(
            slot.labels.tolist(), (norms / norms.mean().clamp_min(1e-30)).tolist(), strict=True
        ):
            totals[name] += value / len(slot.labels) * len(torch.unique(slot.labels))
    for group in channels.groups:
        names = group.classes.tolist()
        mean = sum(totals[name] for name in names) / len(names) or 1.0
        totals.update({name: totals[name] / mean for name in names})
    return dict(totals)


def choose(
    channels: ChannelGraph, scores: Mapping[int, float], graph: fx.GraphModule, *, macs: int, multiple: int
) -> Choice:
    """Remove blocks of channels, the least important first, until at most `macs` are left.

    A group's width stays a multiple of `multiple` and never falls under it, so that kernels run full.
    Raises `InputError` where nothing can be pruned and `BudgetError` where the budget is out of reach.
    """
    if not channels.prunable:
        reasons = sorted({group.frozen for group in channels.groups})
        raise InputError(f"nothing can be pruned: {'; '.join(reasons) or 'the network has no channels'}")
    count = MacsCounter(graph, channels)
    blocks = [
        block
        for index, group in enumerate(channels.prunable)
        for block in _blocks(group, scores, multiple, index)
    ]
    heapq.heapify(blocks)
    now, removed = count(), []
    while now > macs and blocks:
        *_, names = heapq.heappop(blocks)
        removed.extend(names)
        count.remove(names)
        now = count()
    if now > macs:
        raise BudgetError(
            f"pruning cannot reach {human_count(macs)} MACs: {human_count(now)} are left when every "
            f"group has {multiple} channels",
            hint=f"ask for at least {now:,} MACs",
        )
    return Choice(torch.tensor(removed, dtype=torch.int64), now)


def _blocks(
    group: Group, scores: Mapping[int, float], multiple: int, index: int
) -> list[tuple[float, int, int, list[int]]]:
    """The group's removable blocks as (score, group, place, classes); a later block never leaves before an earlier."""
    ranked = sorted(group.classes.tolist(), key=lambda name: scores[name])
    first = len(ranked) % multiple or multiple
    cuts = [0, *range(first, len(ranked) - multiple + 1, multiple)]
    blocks, floor = [], 0.0
    for place, (start, end) in enumerate(itertools.pairwise(cuts)):
        floor = max(floor, sum(scores[name] for name in ranked[start:end]) / (end - start))
        blocks.append((floor, index, place, ranked[start:end]))
    return blocks


class MacsCounter:
    """The network's MACs while classes leave, without touching a weight."""

    def __init__(self, graph: fx.GraphModule, channels: ChannelGraph) -> None:
        self._where: dict[int, list[tuple[Axis, int]]] = defaultdict(list)
        for slot in channels.slots:
            if slot.axis < 2:
                for name, times in zip(
                    *(part.tolist() for part in torch.unique(slot.labels, return_counts=True)), strict=True
                ):
                    self._where[name].append(((slot.parameter, slot.axis), times))
        self._width: dict[Axis, int] = {}
        self._per_pair: list[tuple[str, int]] = []
        for node, operator in operators(graph):
            if operator in ("conv2d", "linear"):
                self._add(node, operator)

    def _add(self, node: fx.Node, operator: str) -> None:
        weight = str(parameter_of(arguments(node)["weight"]))
        outputs, inputs, *kernel = shape_of(arguments(node)["weight"])
        shape = shape_of(node)
        positions = torch.Size(shape[2:] if operator == "conv2d" else shape[:-1]).numel()
        self._width[weight, 0], self._width[weight, 1] = outputs, inputs
        self._per_pair.append((weight, positions * torch.Size(kernel).numel()))

    def remove(self, names: list[int]) -> None:
        """These classes are gone."""
        for name in names:
            for axis, times in self._where[name]:
                if axis in self._width:
                    self._width[axis] -= times

    def __call__(self) -> int:
        """Multiply-accumulates of what is left."""
        return sum(self._width[weight, 0] * self._width[weight, 1] * each for weight, each in self._per_pair)
