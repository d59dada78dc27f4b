"""A network is exported once: for one picture it is the graph for any number, and copies share it."""

from __future__ import annotations

import copy
from dataclasses import replace
from typing import Any

import pytest
import torch
from small_networks import Gated, Residual, Shuffled, Twice, model_of, pictures
from torch import fx, nn

from edgekit.model import Event, Model
from edgekit.quantizer.fixed_batch import fix_batch
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.program import exported_as, program_of


def given(graph: fx.GraphModule) -> list[tuple[object, ...]]:
    """Each node with its arguments and what it is told to give, but for names."""
    numbers = {node: number for number, node in enumerate(graph.graph.nodes)}
    shapes = [
        [(value.shape, value.stride(), value.dtype) for value in _values(node.meta.get("val"))]
        for node in numbers
    ]
    arguments = [fx.node.map_arg((node.args, node.kwargs), numbers.__getitem__) for node in numbers]
    return [
        (node.target, arguments[i], shapes[i])
        for node, i in numbers.items()
        if node.op not in ("placeholder", "output")
    ]


def _values(value: Any) -> list[torch.Tensor]:
    every = value if isinstance(value, tuple | list) else [value]
    return [each for each in every if isinstance(each, torch.Tensor)]


@pytest.mark.parametrize("network", [Residual, Shuffled, Gated, Twice])
def test_the_graph_for_one_picture_is_the_exporters_own(network: type[nn.Module]) -> None:
    model = model_of(network)
    graph, exported = (program_of(model, any_batch=any_batch) for any_batch in (True, False))
    exported.graph.eliminate_dead_code()
    assert given(graph) != given(exported)
    fix_batch(graph, torch.zeros(model.input_shape))
    assert given(graph) == given(exported)


@pytest.mark.parametrize("network", [Residual, Twice])
def test_a_copy_with_other_weights_is_not_exported_again(
    network: type[nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(network)
    folded_graph(model)
    module = copy.deepcopy(model.module)
    with torch.no_grad():
        for tensor in module.parameters():
            tensor.mul_(1.5)
    alone = folded_graph(replace(model, module=copy.deepcopy(module)))
    monkeypatch.setattr(torch.export, "export", not_again)
    exported_as(module, model.module)
    other = replace(model, module=module)
    assert_same(folded_graph(other), alone)
    images = torch.from_numpy(pictures(2))
    with torch.no_grad():
        assert torch.allclose(folded_graph(other, any_batch=True)(images), module(images), atol=1e-4)
        assert not torch.allclose(folded_graph(model, any_batch=True)(images), module(images), atol=1e-2)


def not_again(*_: object, **__: object) -> None:
    raise AssertionError("exported again")


def assert_same(one: fx.GraphModule, other: fx.GraphModule) -> None:
    assert given(one) == given(other)
    assert list(one.state_dict()) == list(other.state_dict())  # files list weights in this order
    assert all(torch.equal(value, other.state_dict()[name]) for name, value in one.state_dict().items())


def test_a_model_that_got_scales_is_not_exported_again(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(Residual)
    folded_graph(model)
    monkeypatch.setattr(torch.export, "export", not_again)
    later = model.after(Event(stage="quantize", summary=""))
    assert_same(folded_graph(later), folded_graph(model))


def test_weights_that_changed_in_place_are_those_of_the_graph() -> None:
    model, images = model_of(Residual), torch.from_numpy(pictures(1))
    folded_graph(model)
    with torch.no_grad():
        for parameter in model.module.parameters():
            parameter.mul_(1.5)
        later = model.after(Event(stage="train", summary=""))
        assert torch.allclose(folded_graph(later)(images), model.module(images), atol=1e-4)


def test_the_copy_may_outlive_the_original() -> None:
    model: Model | None = model_of(Residual)
    assert model is not None
    module = copy.deepcopy(model.module)
    exported_as(module, model.module)
    other, model = replace(model, module=module), None
    images = torch.from_numpy(pictures(1))
    with torch.no_grad():
        assert torch.allclose(folded_graph(other)(images), module(images), atol=1e-5)
