"""Calibration, and the quantized network in PyTorch that files are held to."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from small_networks import Array, Gated, Residual, Shuffled, Twice, model_of, pictures
from torch import nn

from edgekit.errors import InputError
from edgekit.model import Model, Quantization
from edgekit.parity import sqnr_db
from edgekit.quantizer.calibrate import calibrate
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.reference import quantized_graph, rounded_float_graph
from edgekit.quantizer.weights import channel_scales
from edgekit.target import load_target

NETWORKS: dict[str, type[nn.Module]] = {"residual": Residual, "shuffled": Shuffled, "gated": Gated}
HOST = load_target("host").int8


@cache
def quantized(network: str, target: str = "host") -> Model:
    model = model_of(NETWORKS[network])
    return replace(model, quantization=calibrate(model, load_target(target).int8, [pictures(16)]))


def run(graph: nn.Module, images: Array) -> Array:
    with torch.no_grad():
        outputs: torch.Tensor = graph(torch.from_numpy(images))
    return outputs.numpy()


def decision(model: Model) -> Quantization:
    assert model.quantization is not None
    return model.quantization


@pytest.mark.parametrize(
    ("network", "target"),
    [("residual", "host"), ("residual", "jetson"), ("shuffled", "host"), ("gated", "raspberry-pi-5")],
)
def test_the_quantized_network_is_near_the_float_one(network: str, target: str) -> None:
    model, images = quantized(network, target), pictures(8, seed=1)
    expected = run(model.module, images)
    found = run(quantized_graph(model, any_batch=True), images)
    assert 30 < sqnr_db(expected, found) < 80  # nearer would be float


def test_float_weights_and_scales_are_all_that_it_takes() -> None:
    model, images = quantized("residual"), pictures(1, seed=2)
    resumed = replace(
        model_of(Residual),
        quantization=Quantization.model_validate_json(decision(model).model_dump_json()),
    )
    assert np.array_equal(run(quantized_graph(model), images), run(quantized_graph(resumed), images))


def test_every_sample_counts_whatever_the_batches() -> None:
    model, images = quantized("residual"), pictures(16)
    again = calibrate(model, HOST, (images[index : index + 3] for index in range(0, 16, 3)))
    assert again.calibration_sha256 == decision(model).calibration_sha256
    assert again.calibration_samples == 16
    scales = {name: grid.scale for name, grid in decision(model).activations.items()}
    assert {name: grid.scale for name, grid in again.activations.items()} == pytest.approx(scales, rel=1e-3)


def test_tensorrt_gets_zero_points_of_zero_and_litert_a_sigmoid_of_its_own() -> None:
    grids = decision(quantized("residual", "jetson")).activations.values()
    assert {grid.zero_point for grid in grids} == {0}

    class Sigmoid(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 2, 1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y: torch.Tensor = self.two(torch.sigmoid(self.one(x)))
            return y

    grid = calibrate(model_of(Sigmoid), load_target("android").int8, [pictures(2)]).activations["sigmoid"]
    assert (grid.scale, grid.zero_point) == (1 / 256, -128)


def bad_batches() -> dict[str, tuple[list[Array], str]]:
    nan, endless = pictures(4), pictures(4)
    nan[2, 1, 3, 4], endless[3, 0, 0, 0] = np.nan, np.inf
    return {
        "none": ([], "no calibration samples"),
        "empty": ([pictures(0)], "no calibration samples"),
        "constant": ([np.full((2, 3, 32, 32), 0.5, np.float32)] * 2, "every value .* is 0.5"),
        "nan": ([pictures(3), nan], "sample 5 holds NaN"),
        "infinite": ([endless], "sample 3 holds NaN or infinity"),
        "shape": ([pictures(2, side=64)], r"float32 \(2, 3, 64, 64\)"),
        "dtype": ([pictures(2).astype(np.float64)], "float64"),
    }


@pytest.mark.parametrize("case", bad_batches())
def test_data_that_teaches_nothing_is_refused(case: str) -> None:
    batches, message = bad_batches()[case]
    with pytest.raises(InputError, match=message):
        calibrate(quantized("residual"), HOST, batches)


def test_a_network_that_overflows_is_refused_by_the_tensor() -> None:
    model = model_of(Residual)
    with torch.no_grad():
        model.module.get_parameter("features.1.conv.2.0.weight").fill_(3e38)
    with pytest.raises(InputError, match=r"conv2d_3 is not finite on the calibration data"):
        calibrate(model, HOST, [pictures(2)])


def test_weights_lie_on_the_grid_of_their_channel() -> None:
    model = quantized("residual")
    folded, graph = dict(folded_graph(model).named_parameters()), dict(quantized_graph(model).named_buffers())
    names = [name for name in graph if name.endswith(".weight")]
    assert len(names) == 12
    for name in names:
        weight, integers, scales = folded[name].detach(), graph[name], graph[f"{name}_scale"]
        largest = weight.flatten(1).abs().amax(1)
        assert integers.dtype == torch.int8
        assert torch.equal(scales, largest / 127)
        assert (integers.flatten(1).abs().amax(1) == 127).all()
        error = (integers * scales.view(-1, *[1] * (weight.dim() - 1)) - weight).abs()
        assert (error.flatten(1).amax(1) <= scales * 0.5001).all()


def test_a_layer_that_is_used_twice_is_stored_once() -> None:
    model, images = model_of(Twice), pictures(2)
    model = replace(model, quantization=calibrate(model, HOST, [images]))
    graph = quantized_graph(model, any_batch=True)
    integers = {name for name, value in graph.named_buffers() if value.dtype == torch.int8}
    assert integers == {"stem.weight", "shared.weight", "classifier.weight"}
    assert sqnr_db(run(model.module, images), run(graph, images)) > 30


def test_rounded_weights_give_the_same_integers_again() -> None:
    model = quantized("gated", "raspberry-pi-5")
    rounded, graph = rounded_float_graph(model), dict(quantized_graph(model).named_buffers())
    for name, value in rounded.named_buffers():
        axis = 1 if name == "up.weight" else 0
        shape = [-1 if dimension == axis else 1 for dimension in range(value.dim())]
        scales = channel_scales(value, axis)
        assert torch.allclose(scales, graph[f"{name}_scale"], rtol=1e-6)
        assert torch.equal(torch.round(value / scales.view(shape)).to(torch.int8), graph[name])
    assert sum(1 for _ in rounded.named_buffers()) == 7
    images = pictures(1)
    assert sqnr_db(run(folded_graph(model), images), run(rounded, images)) > 35


def test_a_channel_of_next_to_no_weight_keeps_its_bias_in_an_int32() -> None:
    weight, bias = torch.randn(3, 4, 1, 1), torch.tensor([0.5, 0.5, 0.0])
    weight[1:] = torch.tensor([1e-12, 0.0]).view(2, 1, 1, 1)
    scales = channel_scales(weight, 0, bias=bias, input_scale=0.02)
    assert scales[0] == weight[0].abs().max() / 127
    assert (bias / (0.02 * scales) < 2**31).all()
    assert torch.round(weight[1] / scales[1]).abs().max() == 0
    assert (scales > 0).all()


def test_a_channel_of_huge_weights_keeps_its_bias_to_half_a_step_of_the_output() -> None:
    model = model_of(Residual)
    norm = model.module.get_submodule("features.1.conv.0.1")
    with torch.no_grad():  # a channel that never changed while the statistics were taken
        norm.get_buffer("running_var")[3] = 0
        norm.get_parameter("weight")[3] = 300
        norm.get_parameter("bias")[3] = 1.2345
        model.module.get_parameter("features.1.conv.0.0.weight")[3] *= 3
    model = replace(model, quantization=calibrate(model, HOST, [pictures(8)]))
    grids = decision(model).activations
    steps = quantized_graph(model).get_buffer("features.1.conv.0.0.weight_scale") * grids["hardtanh"].scale
    assert steps[3] == pytest.approx(grids["hardtanh_1"].scale)
    assert (steps <= grids["hardtanh_1"].scale * 1.0001).all()


def test_scales_of_another_network_are_refused() -> None:
    with pytest.raises(InputError, match="another network"):
        quantized_graph(replace(model_of(Residual), quantization=decision(quantized("shuffled"))))
    with pytest.raises(InputError, match="not quantized"):
        quantized_graph(model_of(Residual))
