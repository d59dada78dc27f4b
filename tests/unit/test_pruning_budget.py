"""Budgets are reached from below, within one step, on widths that kernels want."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.errors import BudgetError, InputError
from edgekit.graph.budget import choose
from edgekit.graph.channels import channel_graph
from edgekit.graph.cost import cost
from edgekit.graph.importance import importance
from edgekit.graph.macs_counter import MacsCounter
from edgekit.graph.surgery import remove_channels
from edgekit.graph.trace import trace
from edgekit.model import Source
from edgekit.zoo import build

SHAPE = (1, 3, 64, 64)


@pytest.fixture(scope="module")
def network() -> nn.Module:
    torch.manual_seed(0)
    return build(Source(name="mobilenetv2", num_classes=10)).eval()


@pytest.mark.parametrize(("share", "multiple"), [(0.5, 16), (0.3, 8), (0.8, 1)])
def test_a_macs_budget_is_kept_and_the_forecast_is_exact(
    network: nn.Module, share: float, multiple: int
) -> None:
    graph = trace(network, SHAPE)
    channels, whole = channel_graph(graph), cost(network, SHAPE).macs
    choice = choose(channels, importance(network, channels), macs=int(share * whole), multiple=multiple)
    pruned = remove_channels(network, channels, choice.removed).module
    reached = cost(pruned, SHAPE).macs
    assert reached == choice.macs <= share * whole
    assert reached > (share - 0.03) * whole  # one block of channels, at most
    widths = {layer.weight.shape[0] for layer in pruned.modules() if isinstance(layer, nn.Conv2d)}
    assert all(width % multiple == 0 for width in widths)


def test_the_counter_agrees_with_the_cost(network: nn.Module) -> None:
    graph = trace(network, SHAPE)
    assert MacsCounter(channel_graph(graph))() == cost(network, SHAPE).macs


def test_an_impossible_budget_says_what_is_possible(network: nn.Module) -> None:
    graph = trace(network, SHAPE)
    channels = channel_graph(graph)
    with pytest.raises(BudgetError, match=r"cannot reach 1\.0 k MACs: 1\.7 M are left") as error:
        choose(channels, importance(network, channels), macs=1000, multiple=16)
    assert "at least 1,6" in error.value.hint


def test_the_least_important_go_first() -> None:
    stem, head = nn.Conv2d(3, 16, 1, bias=False), nn.Conv2d(16, 4, 1, bias=False)
    layers = nn.Sequential(stem, head)
    with torch.no_grad():
        stem.weight.fill_(1.0)
        head.weight.fill_(1.0)
        stem.weight[5:13] *= 0.01
    graph = trace(layers, SHAPE)
    channels = channel_graph(graph)
    choice = choose(channels, importance(layers, channels), macs=cost(layers, SHAPE).macs // 2, multiple=8)
    assert sorted(choice.removed.tolist()) == channels.producers()["0.weight"][5:13].tolist()


def test_nothing_prunable_is_said_with_the_reason() -> None:
    layer = nn.Sequential(nn.Conv2d(3, 4, 1))
    graph = trace(layer, SHAPE)
    with pytest.raises(InputError, match="nothing can be pruned: network output"):
        choose(channel_graph(graph), {}, macs=1, multiple=1)


def test_weights_that_are_not_finite_are_refused(network: nn.Module) -> None:
    broken = build(Source(name="mobilenetv2", num_classes=10)).eval()
    broken.get_parameter("features.3.conv.2.weight").data[0] = float("nan")
    channels = channel_graph(trace(network, SHAPE))
    with pytest.raises(InputError, match=r"features\.3\.conv\.2\.weight holds NaN"):
        importance(broken, channels)
