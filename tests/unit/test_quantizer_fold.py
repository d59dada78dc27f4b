"""The folded graph computes what the network computes, under names that depend on the network alone."""

from __future__ import annotations

import copy

import pytest
import torch
from small_networks import SIDE, Gated, Picked, Residual, Shuffled, layer, model_of, pictures
from torch import Tensor, fx, nn

from edgekit.errors import InputError
from edgekit.quantizer.fold import folded_graph

NETWORKS = [Residual, Shuffled, Picked, Gated]


def operators(graph: fx.GraphModule) -> list[str]:
    return [node.name for node in graph.graph.nodes if node.op == "call_function"]


def furthest(network: nn.Module, graph: fx.GraphModule, count: int = 1) -> float:
    images = torch.from_numpy(pictures(count))
    with torch.no_grad():
        return float((network(images) - graph(images)).abs().max())


@pytest.mark.parametrize("network", NETWORKS)
def test_it_computes_what_the_network_computes(network: type[nn.Module]) -> None:
    model = model_of(network)
    before = copy.deepcopy(model.module.state_dict())
    assert furthest(model.module, folded_graph(model)) < 1e-5
    assert furthest(model.module, folded_graph(model, any_batch=True), count=3) < 1e-5
    assert furthest(model.module, folded_graph(model, any_batch=True), count=1) < 1e-5
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())


@pytest.mark.parametrize("network", NETWORKS)
def test_names_do_not_depend_on_the_batch_or_on_what_was_exported_before(network: type[nn.Module]) -> None:
    names = operators(folded_graph(model_of(network)))
    again = operators(folded_graph(model_of(network), any_batch=True))
    assert names == [name for name in again if not name.startswith("size_")]


def test_only_what_runs_on_a_device_is_left() -> None:
    graph = folded_graph(model_of(Residual))
    names = operators(graph)
    assert not [
        name for name in names if "norm" in name or "dropout" in name or "clone" in name or name.endswith("_")
    ]
    parameters = [name for name, _ in graph.named_parameters()]
    assert "features.1.conv.0.0.weight" in parameters
    assert "features.1.conv.0.0.bias" in parameters  # the layer had none: batch norm's
    assert len(parameters) == 2 * sum(name.startswith(("conv2d", "linear")) for name in names)
    assert not list(graph.buffers())


class Unfoldable(nn.Module):
    """Norms that no convolution may absorb: two readers of one, a weight in two places, a norm that comes first."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.shared = nn.BatchNorm2d(3), nn.Conv2d(3, 8, 1)
        self.one, self.two = nn.BatchNorm2d(8), nn.BatchNorm2d(8)
        self.last, self.norm = nn.Conv2d(8, 8, 1), nn.BatchNorm2d(8)

    def forward(self, x: Tensor) -> Tensor:
        x = self.one(self.shared(torch.relu(self.first(x)))) + self.two(self.shared(x))
        y = self.last(x)
        result: Tensor = self.norm(y) + y
        return result


def test_a_norm_that_no_convolution_can_absorb_alone_stays_apart() -> None:
    model = model_of(Unfoldable)
    graph = folded_graph(model)
    assert furthest(model.module, graph) < 1e-5
    assert sum(name.startswith("mul") for name in operators(graph)) == 4


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


class OneByOne(nn.Module):
    """Its author wrote down a batch size."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.linear = layer(3, 4), nn.Linear(4 * SIDE * SIDE, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.linear(self.conv(x).view(1, -1))
        return logits


def test_a_network_that_cannot_be_exported_is_refused_by_name() -> None:
    with pytest.raises(InputError, match=r"branching: torch\.export cannot follow"):
        folded_graph(model_of(Branching))
    folded_graph(model_of(OneByOne))
    with pytest.raises(InputError, match="for any batch size"):
        folded_graph(model_of(OneByOne), any_batch=True)


class Pooled(nn.Module):
    """UNeXt's encoder: the activation comes after the pool, once alone and once beside another reader."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = layer(3, 8, 3), layer(8, 8, 3)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(nn.functional.max_pool2d(self.first(x), 2))
        pooled = nn.functional.max_pool2d(self.second(x), 2)
        return torch.relu(pooled) + pooled


def test_an_activation_behind_a_pool_goes_before_it_where_nobody_else_reads_the_pool() -> None:
    model = model_of(Pooled)
    graph = folded_graph(model)
    assert operators(graph) == ["conv2d", "relu", "max_pool2d", "conv2d_1", "max_pool2d_1", "relu_1", "add"]
    assert furthest(model.module, graph) < 1e-5
