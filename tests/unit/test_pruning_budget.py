"""Budgets are reached from below, within one step, on widths that kernels want."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from edgekit.errors import BudgetError, InputError
from edgekit.graph.budget import choose
from edgekit.graph.channels import channel_graph
from edgekit.graph.cost import cost
from edgekit.graph.counters import counter_of
from edgekit.graph.importance import importance
from edgekit.graph.macs_counter import MacsCounter
from edgekit.graph.surgery import remove_channels
from edgekit.graph.trace import trace
from edgekit.model import Source
from edgekit.recipe import Resource
from edgekit.stages.pruning import figures
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
    choice = choose(
        channels, network, importance(network, channels), {"macs": int(share * whole)}, multiple=multiple
    )
    pruned = remove_channels(network, channels, choice.removed).module
    reached = cost(pruned, SHAPE).macs
    assert reached == choice.left["macs"] <= share * whole
    assert reached > (share - 0.03) * whole  # one block of channels, at most
    widths = {layer.weight.shape[0] for layer in pruned.modules() if isinstance(layer, nn.Conv2d)}
    assert all(width % multiple == 0 for width in widths)


@pytest.mark.parametrize(("share", "given"), [(0.08, 16), (0.05, 8), (0.02, 4)])
def test_a_multiple_that_puts_the_budget_out_of_reach_is_halved(
    network: nn.Module, share: float, given: int
) -> None:
    channels, whole = channel_graph(trace(network, SHAPE)), cost(network, SHAPE).macs
    choice = choose(
        channels, network, importance(network, channels), {"macs": int(share * whole)}, multiple=16
    )
    assert choice.multiple == given
    assert choice.left["macs"] <= share * whole
    pruned = remove_channels(network, channels, choice.removed).module
    widths = {layer.weight.shape[0] for layer in pruned.modules() if isinstance(layer, nn.Conv2d)}
    assert all(width % given == 0 for width in widths)


def test_the_counter_agrees_with_the_cost(network: nn.Module) -> None:
    graph = trace(network, SHAPE)
    assert MacsCounter(channel_graph(graph))() == cost(network, SHAPE).macs


@pytest.mark.parametrize("resource", ["params", "memory_access", "peak_memory"])
def test_every_budget_is_reached_from_below_within_a_step(network: nn.Module, resource: Resource) -> None:
    channels = channel_graph(trace(network, SHAPE))
    whole = figures(cost(network, SHAPE))
    allowed = int(0.6 * whole[resource])
    choice = choose(channels, network, importance(network, channels), {resource: allowed}, multiple=1)
    pruned = remove_channels(network, channels, choice.removed).module
    left = figures(cost(pruned, SHAPE))[resource]
    assert left == choice.left[resource] <= allowed
    assert left + choice.step[resource] > allowed
    assert choice.step[resource] < 0.02 * whole[resource]


def test_peak_memory_takes_channels_only_where_the_peak_is(network: nn.Module) -> None:
    channels = channel_graph(trace(network, SHAPE))
    allowed = int(0.9 * figures(cost(network, SHAPE))["peak_memory"])
    scores = importance(network, channels)
    removed = choose(channels, network, scores, {"peak_memory": allowed}, multiple=1).removed
    narrowed = {
        name for name, classes in channels.producers().items() if bool(torch.isin(classes, removed).any())
    }
    assert narrowed == {"features.2.conv.0.0.weight", "features.2.conv.1.0.weight"}


def test_two_budgets_are_both_kept(network: nn.Module) -> None:
    channels = channel_graph(trace(network, SHAPE))
    whole = figures(cost(network, SHAPE))
    allowed: dict[Resource, int] = {"macs": int(0.7 * whole["macs"]), "params": int(0.5 * whole["params"])}
    choice = choose(channels, network, importance(network, channels), allowed, multiple=1)
    assert all(choice.left[name] <= most for name, most in allowed.items())
    assert any(choice.left[name] + choice.step[name] > most for name, most in allowed.items())


def test_the_scope_layer_takes_the_same_share_of_each(network: nn.Module) -> None:
    channels = channel_graph(trace(network, SHAPE))
    allowed: dict[Resource, int] = {"macs": cost(network, SHAPE).macs // 2}
    scores = importance(network, channels)
    removed = choose(channels, network, scores, allowed, multiple=1, scope="layer").removed
    for group in channels.prunable:
        width = len(group.classes)
        share = int(torch.isin(group.classes, removed).sum()) / width
        assert share == pytest.approx(0.3, abs=0.05 + 1 / width)


def test_weights_in_a_file_are_counted_as_they_are_stored() -> None:
    layers = nn.Sequential(
        nn.Conv2d(3, 8, 1, bias=False),
        nn.BatchNorm2d(8),  # folded: 8 biases
        nn.Conv2d(8, 4, 1),
        nn.ReLU(),
        nn.BatchNorm2d(4),  # on its own: 4 scales, 4 shifts
        nn.Conv2d(4, 2, 1),
    ).eval()
    channels = channel_graph(trace(layers, SHAPE))
    counter = counter_of("size", channels, layers)
    assert counter() == 4 * (24 + 8 + 36 + 8 + 10)
    counter.remove(channels.producers()["0.weight"][:3].tolist())
    assert counter() == 4 * (15 + 5 + 24 + 8 + 10)


def test_an_impossible_budget_says_what_is_possible(network: nn.Module) -> None:
    graph = trace(network, SHAPE)
    channels = channel_graph(graph)
    with pytest.raises(BudgetError, match=r"cannot reach 1\.0 k MACs: 48\.1 k are left") as error:
        choose(channels, network, importance(network, channels), {"macs": 1000}, multiple=16)
    assert "at least 48,074 MACs" in error.value.hint


def test_the_least_important_go_first() -> None:
    stem, head = nn.Conv2d(3, 16, 1, bias=False), nn.Conv2d(16, 4, 1, bias=False)
    layers = nn.Sequential(stem, head)
    with torch.no_grad():
        stem.weight.fill_(1.0)
        head.weight.fill_(1.0)
        stem.weight[5:13] *= 0.01
    graph = trace(layers, SHAPE)
    channels = channel_graph(graph)
    choice = choose(
        channels, layers, importance(layers, channels), {"macs": cost(layers, SHAPE).macs // 2}, multiple=8
    )
    assert sorted(choice.removed.tolist()) == channels.producers()["0.weight"][5:13].tolist()


def test_a_layer_keeps_its_last_channels_while_others_have_more() -> None:
    layers = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 1), nn.Conv2d(8, 4, 1))
    channels = channel_graph(trace(layers, SHAPE))
    own = channels.producers()
    scores = {**dict.fromkeys(own["0.weight"].tolist(), 0.0), **dict.fromkeys(own["1.weight"].tolist(), 1.0)}
    for share, widths in ((0.4, [2, 7]), (0.11, [1, 2])):
        allowed: dict[Resource, int] = {"macs": int(share * cost(layers, SHAPE).macs)}
        removed = choose(channels, layers, scores, allowed, multiple=1).removed
        left = [int((~torch.isin(own[f"{name}.weight"], removed)).sum()) for name in (0, 1)]
        assert left == widths


def test_nothing_prunable_is_said_with_the_reason() -> None:
    layer = nn.Sequential(nn.Conv2d(3, 4, 1))
    graph = trace(layer, SHAPE)
    with pytest.raises(InputError, match="nothing can be pruned: network output"):
        choose(channel_graph(graph), layer, {}, {"macs": 1}, multiple=1)


def test_weights_that_are_not_finite_are_refused(network: nn.Module) -> None:
    broken = build(Source(name="mobilenetv2", num_classes=10)).eval()
    broken.get_parameter("features.3.conv.2.weight").data[0] = float("nan")
    channels = channel_graph(trace(network, SHAPE))
    with pytest.raises(InputError, match=r"features\.3\.conv\.2\.weight holds NaN"):
        importance(broken, channels)
