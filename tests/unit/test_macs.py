"""Multiply-accumulates of products of all kinds, by hand, and what the pruner forecasts of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import get_args

import pytest
import torch
from forms import FORMS, INPUTS, SHAPE, form
from keep_sets import random_removal
from torch import Tensor, nn

from edgekit.graph.channels import channel_graph
from edgekit.graph.cost import cost, cost_of_graph
from edgekit.graph.counters import counter_of
from edgekit.graph.macs import einsum_letters
from edgekit.graph.macs_counter import MacsCounter
from edgekit.graph.surgery import remove_channels
from edgekit.graph.trace import trace
from edgekit.recipe import Resource
from edgekit.stages.pruning import figures


class Weighted(nn.Module):
    """A product of the input (2, 8, 4, 4) and two parameters."""

    def __init__(self, product: Callable[[Tensor, Tensor, Tensor], Tensor], *shapes: tuple[int, ...]) -> None:
        super().__init__()
        self.product = product
        self.weights = nn.ParameterList(torch.rand(shape) for shape in shapes)

    def forward(self, x: Tensor) -> Tensor:
        return self.product(x, self.weights[0], self.weights[-1])


def einsum(equation: str) -> Callable[[Tensor, Tensor, Tensor], Tensor]:
    return lambda x, one, two: torch.einsum(equation, *[x, one, two][: equation.count(",") + 1])


@pytest.mark.parametrize(
    ("product", "shapes", "macs"),
    [
        (einsum("bchw,dc->bdhw"), [(8, 8)], 2 * 8 * 8 * 16),
        (einsum("bchw,dc"), [(8, 8)], 2 * 8 * 8 * 16),
        (einsum("b c h w, d c -> b d h w"), [(8, 8)], 2 * 8 * 8 * 16),
        (einsum("...w,wv->...v"), [(4, 3)], 2 * 8 * 4 * 4 * 3),
        (einsum("bchw,...cd->b...d"), [(5, 8, 3)], 2 * 5 * 8 * 3),  # height and width are added up before
        (einsum("bchw,c->bchw"), [(8,)], 0),  # a scale
        (einsum("bchw,dc,ed->behw"), [(2, 8), (5, 2)], 2 * 16 * (8 * 2 + 2 * 5)),
        (lambda x, w, b: torch.addmm(b, x.flatten(1), w), [(128, 4), (4,)], 2 * 128 * 4),
        (lambda x, w, b: torch.baddbmm(b, x.flatten(2), w), [(2, 16, 3), (3,)], 2 * 8 * 16 * 3),
        (lambda x, w, b: torch.addbmm(b, x.flatten(2), w), [(2, 16, 3), (3,)], 2 * 8 * 16 * 3),
        (lambda x, w, b: torch.addmv(b, x.flatten(1), w), [(128,), (2,)], 2 * 128),
        (lambda x, w, _: x.flatten(1) @ w, [(128,)], 2 * 128),
        (lambda x, w, _: torch.tensordot(x, w, 1), [(4, 3)], 2 * 8 * 4 * 4 * 3),
        (lambda x, w, _: torch.inner(x, w), [(3, 4)], 2 * 8 * 4 * 4 * 3),
        (lambda x, w, _: nn.functional.bilinear(x, x, w), [(3, 4, 4)], 2 * 8 * 4 * 3 * 4 * 4),
        (lambda x, w, _: torch.convolution(x, w, None, [1], [0], [1], False, [0], 1), [(3, 8, 1, 1)], 768),
        (lambda x, w, _: x * w, [(8, 1, 1)], 0),
    ],
)
def test_products_by_hand(
    product: Callable[[Tensor, Tensor, Tensor], Tensor], shapes: list[tuple[int, ...]], macs: int
) -> None:
    module = Weighted(product, *shapes)
    assert cost(module, (2, 8, 4, 4)).macs == macs
    assert MacsCounter(channel_graph(trace(module, (2, 8, 4, 4))))() == macs


@pytest.mark.filterwarnings("ignore:The tensor attributes")
def test_recurrent_layers_are_counted() -> None:
    class Recurrent(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layer = nn.LSTM(8, 16, batch_first=True)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.layer(x)[0]
            return y

    assert cost(Recurrent(), (1, 5, 8)).macs == 5 * 4 * 16 * (8 + 16)


def test_letters_without_an_arrow_are_those_that_occur_once() -> None:
    assert einsum_letters("bij,jc...", [3, 4])[1] == (".1", ".0", "b", "c", "i")
    assert einsum_letters("...a,...a->...", [3, 2]) == ([(".1", ".0", "a"), (".0", "a")], (".1", ".0"))


@pytest.mark.parametrize("name", FORMS)
def test_every_form_is_counted_and_its_forecast_is_exact(name: str) -> None:
    module, shapes = form(name), INPUTS.get(name, (SHAPE,))
    graph = trace(module, *shapes)
    channels = channel_graph(graph)
    counted, names = cost_of_graph(graph, module, SHAPE), get_args(Resource)
    forecast = {resource: counter_of(resource, channels, module) for resource in names if resource != "size"}
    assert {resource: counter() for resource, counter in forecast.items()} == figures(counted)
    assert counted.macs > 0
    assert all(math.prod(layer.output_shape) for layer in counted.layers)
    removed = random_removal(channels, seed=0)
    for counter in forecast.values():
        counter.remove(removed.tolist())
    pruned = remove_channels(module, channels, removed).module
    left = figures(cost_of_graph(trace(pruned, *shapes), pruned, SHAPE))
    assert {resource: counter() for resource, counter in forecast.items()} == left
