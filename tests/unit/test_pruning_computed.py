"""Weights that a network computes, and pieces of one channel: what is read by its place, and what is normalised."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from keep_sets import random_removal
from torch import Tensor, nn

from edgekit.graph.budget import choose
from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.importance import importance
from edgekit.graph.surgery import remove_channels
from edgekit.graph.trace import trace

SHAPE = (1, 3, 8, 8)


class Standardised(nn.Conv2d):
    """A convolution whose weights are standardised over their inputs (Brock et al. 2021)."""

    def forward(self, x: Tensor) -> Tensor:
        rows = self.weight.reshape(1, self.out_channels, -1)
        weight = F.batch_norm(rows, None, None, training=True, momentum=0.0).reshape_as(self.weight)
        return F.conv2d(x, weight, self.bias, self.stride, self.padding, self.dilation, self.groups)


class NormaliserFree(nn.Module):
    """NF-RegNet in small: standardised weights in grouped and in plain convolutions."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.wide = Standardised(3, 16, 3, padding=1), Standardised(16, 24, 1)
        self.grouped = Standardised(24, 24, 3, padding=1, groups=3)
        self.project, self.head = Standardised(24, 16, 1), nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = F.silu(self.stem(x))
        x = x + self.project(F.silu(self.grouped(F.silu(self.wide(x)))))
        logits: Tensor = self.head(x.mean((2, 3)))
        return logits


class SeparableAttention(nn.Module):
    """MobileViTv2's attention in small: one channel of scores, the others keys and values."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.attend = nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 1 + 2 * 8, 1)
        self.project, self.head = nn.Conv2d(8, 12, 1), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        scores, keys, values = self.attend(F.relu(self.stem(x)).flatten(2)[..., None]).split([1, 8, 8], 1)
        context = (keys * scores.softmax(2)).sum(2, keepdim=True)
        logits: Tensor = self.head(F.relu(self.project(values.relu() * context)).mean((2, 3)))
        return logits


def analysed(make: type[nn.Module]) -> tuple[nn.Module, ChannelGraph]:
    torch.manual_seed(0)
    module = make().eval()
    return module, channel_graph(trace(module, SHAPE))


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("make", [NormaliserFree, SeparableAttention])
def test_masked_equals_pruned(make: type[nn.Module], seed: int) -> None:
    module, channels = analysed(make)
    removed = random_removal(channels, seed)
    assert len(removed)
    assert remove_channels(module, channels, removed).difference <= 1e-12


@pytest.mark.parametrize("make", [NormaliserFree, SeparableAttention])
def test_what_a_budget_chooses_can_go_together(make: type[nn.Module]) -> None:
    module, channels = analysed(make)
    count = 60_000 if make is NormaliserFree else 20_000
    choice = choose(channels, module, importance(module, channels), {"macs": count}, multiple=1)
    assert choice.left["macs"] <= count
    assert remove_channels(module, channels, choice.removed).difference <= 1e-12


def test_a_single_channel_that_all_others_read_must_stay() -> None:
    _, channels = analysed(SeparableAttention)
    reasons = {group.frozen for group in channels.groups if ("attend.weight", 0) in group.axes}
    assert sorted(reason.partition(" ")[2] for reason in reasons) == [
        "",
        "takes one of these channels by its place",
    ]
