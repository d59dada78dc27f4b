"""Quantization-aware training: what was trained is what is converted, and the network stays what it was."""

from __future__ import annotations

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from small_networks import Array, Gated, Residual, model_of, pictures
from torch import fx, nn

from edgekit.errors import InputError
from edgekit.model import ActivationScale, Model
from edgekit.parity import sqnr_db
from edgekit.quantizer.calibrate import calibrate
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.qat import finish_qat, prepare_qat
from edgekit.quantizer.reference import quantized_graph
from edgekit.target import load_target

RULES = load_target("jetson").int8


def coarse(network: type[nn.Module]) -> Model:
    """A network whose scales are so wide that training has something to mend."""
    model = model_of(network)
    found = calibrate(model, RULES, [pictures(8)])
    wide = {
        name: ActivationScale(scale=8 * grid.scale, zero_point=0) for name, grid in found.activations.items()
    }
    return replace(model, quantization=found.model_copy(update={"activations": wide}))


def run(graph: nn.Module, images: Array) -> Array:
    with torch.no_grad():
        outputs: torch.Tensor = graph(torch.from_numpy(images))
    return outputs.numpy()


def trained(model: Model, steps: int, mask: torch.Tensor | None = None) -> fx.GraphModule:
    graph = prepare_qat(model, RULES)
    graph.train()
    images = torch.from_numpy(pictures(16))
    with torch.no_grad():
        goal = model.module(images)
    optimizer = torch.optim.SGD(graph.parameters(), 0.002, momentum=0.9)
    for _ in range(steps):
        optimizer.zero_grad()
        F.mse_loss(graph(images), goal).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        if mask is not None:
            graph.get_parameter("features.4.0.weight").data.mul_(mask)
    return graph.eval()


def test_before_training_it_computes_what_the_quantized_network_does() -> None:
    model, images = coarse(Residual), pictures(5)
    assert (
        sqnr_db(run(quantized_graph(model, any_batch=True), images), run(prepare_qat(model, RULES), images))
        > 60
    )


def test_training_helps_and_is_converted_as_it_is() -> None:
    model, images = coarse(Residual), pictures(16)
    goal, before = run(model.module, images), copy.deepcopy(model.module.state_dict())
    untrained = run(quantized_graph(model, any_batch=True), images)
    graph = trained(model, steps=30)
    module, quantization = finish_qat(model, graph)
    after = run(
        quantized_graph(replace(model, module=module, quantization=quantization), any_batch=True), images
    )
    assert sqnr_db(goal, after) > sqnr_db(goal, untrained) + 1
    assert sqnr_db(run(graph, images), after) > 45  # a weight on the border of two integers may go either way
    assert quantization.method == "qat"
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())


def test_the_network_keeps_its_layers_and_folds_to_the_trained_weights() -> None:
    model = coarse(Gated)
    graph = trained(model, steps=3)
    module, quantization = finish_qat(model, graph)
    shapes = {name: value.shape for name, value in model.module.state_dict().items()}
    assert {name: value.shape for name, value in module.state_dict().items()} == shapes
    assert not module.training
    folded = folded_graph(replace(model, module=module, quantization=quantization))
    parameters = dict(folded.named_parameters())
    assert set(parameters) == {name for name, _ in graph.named_parameters()}
    for name, value in graph.named_parameters():
        assert torch.allclose(parameters[name], value, rtol=1e-5, atol=1e-7), name


def test_zeros_that_training_holds_are_zeros_in_the_converted_network() -> None:
    model = coarse(Residual)
    mask = torch.from_numpy(np.tile([1.0, 0, 0, 1], (32, 4)).astype(np.float32)).view(32, 16, 1, 1)
    module, quantization = finish_qat(model, trained(model, steps=2, mask=mask))
    graph = quantized_graph(replace(model, module=module, quantization=quantization))
    integers = graph.get_buffer("features.4.0.weight")
    assert integers[mask == 0].abs().max() == 0
    assert (integers[mask != 0] != 0).float().mean() > 0.8


def test_a_network_without_scales_cannot_be_trained_for_them() -> None:
    with pytest.raises(InputError, match="not quantized"):
        prepare_qat(model_of(Residual), RULES)
    with pytest.raises(InputError, match="another network"):
        prepare_qat(coarse(Residual), load_target("host").int8)
