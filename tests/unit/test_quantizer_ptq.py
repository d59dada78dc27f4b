"""What post-training quantization does beside scales: each step by itself, and all of them behind their trials."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from small_networks import Array, Gated, Residual, Shuffled, Twice, layer, model_of, pictures
from torch import Tensor, nn

from edgekit.model import Model
from edgekit.parity import sqnr_db
from edgekit.quantizer.calibrate import calibrate
from edgekit.quantizer.choose import nearest_at_readers
from edgekit.quantizer.equalize import equalized, pairs_of
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.graphs import operand
from edgekit.quantizer.placement import place
from edgekit.quantizer.ptq import Methods, quantize
from edgekit.quantizer.ranges import OBSERVERS
from edgekit.quantizer.reconstruct import Steps, reconstructed
from edgekit.quantizer.reference import quantized_graph
from edgekit.quantizer.scales import Calibration
from edgekit.quantizer.simulate import Rounded, Walk, decibels, outputs_of
from edgekit.target import load_target

NETWORKS: dict[str, type[nn.Module]] = {"residual": Residual, "shuffled": Shuffled, "gated": Gated}
HOST = load_target("host").int8
SCALES = Methods(equalize=False, correct_bias=False)


class Plain(nn.Module):
    """MobileNetV1 with ReLU in small, and SqueezeNet's fire: all homogeneous."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = layer(3, 16, 3, stride=2, act=nn.ReLU)
        self.depthwise, self.point = layer(16, 16, 3, groups=16, act=nn.ReLU), layer(16, 32, act=nn.ReLU)
        self.squeeze = nn.Conv2d(32, 8, 1)
        self.one, self.three = nn.Conv2d(8, 16, 1), nn.Conv2d(8, 16, 3, padding=1)
        self.classifier = nn.Linear(32, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.relu(self.squeeze(self.point(self.depthwise(self.stem(x)))))
        x = torch.cat([torch.relu(self.one(x)), torch.relu(self.three(x))], 1)
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits


def uneven() -> Model:
    """Half of a convolution's channels are 200 times larger than the others, and read 200 times smaller."""
    model = model_of(Plain)
    factor = torch.ones(32)
    factor[::2] = 200
    with torch.no_grad():
        norm = model.module.get_submodule("point.1")
        norm.get_parameter("weight").mul_(factor)
        norm.get_parameter("bias").mul_(factor)
        model.module.get_parameter("squeeze.weight").div_(factor.view(1, -1, 1, 1))
    return model


def run(graph: nn.Module, images: Array) -> Array:
    with torch.no_grad():
        outputs: Tensor = graph(torch.from_numpy(images))
    return outputs.numpy()


def rounded(model: Model, methods: Methods, count: int = 64) -> Model:
    found = quantize(model, HOST, [pictures(count)], methods)
    return replace(model, module=found.module, quantization=found.quantization)


@pytest.mark.parametrize(
    ("network", "target"),
    [("residual", "host"), ("residual", "jetson"), ("shuffled", "host"), ("gated", "raspberry-pi-5")],
)
def test_what_is_tried_on_is_what_is_converted(network: str, target: str) -> None:
    rules, images = load_target(target).int8, pictures(8, seed=1)
    model = model_of(NETWORKS[network])
    model = replace(model, quantization=calibrate(model, rules, [pictures(16)]))
    graph = folded_graph(model, any_batch=True)
    assert model.quantization is not None
    simulated = Rounded(graph, place(graph, rules), model.quantization.activations)
    with torch.no_grad():
        found = outputs_of(simulated, torch.from_numpy(images)).numpy()
    assert sqnr_db(run(quantized_graph(model, any_batch=True), images), found) > 50


@pytest.mark.parametrize("network", [*NETWORKS.values(), Plain])
def test_no_observer_for_all_tensors_is_clearly_better_than_what_is_chosen(network: type[nn.Module]) -> None:
    found = quantize(model_of(network), HOST, [pictures(32)], SCALES)
    assert set(found.uniform) - {"per tensor"} == set(OBSERVERS)
    assert found.decibels >= max(value for name, value in found.uniform.items()) - 0.5
    assert sum(found.observers.values()) > 5


def test_each_tensor_gets_the_grid_that_its_readers_suffer_least_from() -> None:
    model, images = model_of(Residual), torch.from_numpy(pictures(16))
    found = calibrate(model, HOST, [pictures(16)]).activations
    calibration = Calibration(folded_graph(model, any_batch=True), HOST)
    leaders = dict.fromkeys(calibration.placement.leaders.values())
    good = {leader: found[leader.name] for leader in leaders}
    bad = {  # too wide for every second one, too narrow for the others
        leader: grid.model_copy(update={"scale": grid.scale * (6 if place % 2 else 0.1)})
        for place, (leader, grid) in enumerate(good.items())
    }
    options = {leader: {"bad": bad[leader], "good": good[leader]} for leader in leaders}
    with torch.no_grad():
        chosen = nearest_at_readers(calibration, options, images, None)
    assert set(chosen) == set(leaders)
    assert set(chosen.values()) == {"good"}


def test_equalization_changes_ranges_and_nothing_else() -> None:
    model, images = uneven(), torch.from_numpy(pictures(4))
    graph = folded_graph(model, any_batch=True)
    pairs = pairs_of(Calibration(graph, HOST))
    names = {str(operand(pair.first, 1).target): len(pair.readers) for pair in pairs}
    assert names == {
        "stem.0.weight": 1,
        "depthwise.0.weight": 1,
        "point.0.weight": 1,
        "squeeze.weight": 2,
    }
    with torch.no_grad():
        values = equalized(graph, pairs)
        before, after = outputs_of(Walk(graph), images), outputs_of(Walk(graph, values), images)
    assert torch.allclose(before, after, rtol=1e-4, atol=1e-5)
    written, read = (
        values["point.0.weight"].abs().amax((1, 2, 3)),
        values["squeeze.weight"].abs().amax((0, 2, 3)),
    )
    assert torch.allclose(written, read, rtol=0.02)
    assert (graph.get_parameter("squeeze.weight").abs().amax((0, 2, 3)) / read).log().std() > 1


def test_what_is_not_homogeneous_or_used_twice_is_not_equalized() -> None:
    for network, expected in ((Residual, {"features.1.conv.2.0.weight"}), (Twice, set())):
        graph = folded_graph(model_of(network), any_batch=True)
        found = {str(operand(pair.first, 1).target) for pair in pairs_of(Calibration(graph, HOST))}
        assert found <= expected, found
    graph = folded_graph(model_of(Gated), any_batch=True)
    gated = {str(operand(pair.first, 1).target) for pair in pairs_of(Calibration(graph, HOST))}
    assert gated == {"squeeze.weight", "up.weight"}


def test_equalization_is_kept_where_it_helps_and_the_float_network_stays_what_it_was() -> None:
    model, images = uneven(), pictures(16, seed=3)
    expected = run(model.module, images)
    before = copy.deepcopy(model.module.state_dict())
    plain = run(quantized_graph(rounded(model, SCALES), any_batch=True), images)
    found = rounded(model, Methods(correct_bias=False))
    assert sqnr_db(expected, run(found.module, images)) > 90
    assert (
        sqnr_db(expected, run(quantized_graph(found, any_batch=True), images)) > sqnr_db(expected, plain) + 3
    )
    assert all(torch.equal(value, before[name]) for name, value in model.module.state_dict().items())
    assert {name: value.shape for name, value in found.module.state_dict().items()} == {
        name: value.shape for name, value in before.items()
    }


def test_corrected_biases_leave_no_mean_error() -> None:
    model, images = model_of(Residual), torch.from_numpy(pictures(32))
    grids = calibrate(model, HOST, [pictures(32)]).activations
    graph = folded_graph(model, any_batch=True)
    calibration = Calibration(graph, HOST)
    placement = calibration.placement
    with torch.no_grad():
        values = reconstructed(calibration, grids, {}, images, Steps(correct_bias=True))
        wanted = outputs_of(Walk(graph), images)
        before = (outputs_of(Rounded(graph, placement, grids), images) - wanted).mean(0)
        after = (outputs_of(Rounded(graph, placement, grids, values), images) - wanted).mean(0)
    assert {name.rpartition(".")[2] for name in values} == {"bias"}
    assert len(values) == len(placement.channel_axes)
    assert after.abs().max() < before.abs().max() / 2


def test_nearness_hears_of_the_one_sample_that_a_range_clips() -> None:
    wanted = torch.ones(100, 8)
    found = wanted.clone()
    found[0] = 0
    assert decibels(wanted, found) == pytest.approx(20.0)  # an average of decibels would say 198
    wanted[0], found[0], found[1] = (
        1e-6,
        1e-3,
        0.9,
    )  # a silent sample is heard as much as it would be among others
    assert decibels(wanted, found) == pytest.approx(10 * math.log10(100 / (0.01 + 1e-3)), abs=0.1)
    assert decibels(torch.zeros(4, 8), torch.ones(4, 8)) == 0


def test_every_step_that_is_kept_brought_the_outputs_nearer() -> None:
    for network in (Residual, Shuffled, Gated, Plain):
        found = quantize(model_of(network), HOST, [pictures(64)], Methods(rounding_steps=20))
        reached = [found.trials[0].before_db]
        for trial in found.trials:
            assert trial.before_db == reached[-1]
            reached.append(trial.after_db if trial.kept else trial.before_db)
        assert found.decibels == reached[-1] >= reached[0]


def test_learned_rounding_is_nearer_and_its_integers_are_those_of_its_weights() -> None:
    model, images = model_of(Residual), torch.from_numpy(pictures(64))
    kept = torch.zeros(32, 16, 1, 1)
    kept[:, ::2] = 1
    with torch.no_grad():
        model.module.get_parameter("features.4.0.weight").mul_(kept)
    grids = calibrate(model, HOST, [pictures(64)]).activations
    graph = folded_graph(model, any_batch=True)
    calibration = Calibration(graph, HOST)
    placement = calibration.placement
    steps = Steps(correct_bias=False, rounding_steps=100)
    with torch.no_grad():
        values = reconstructed(calibration, grids, {}, images, steps)
        wanted = outputs_of(Walk(graph), images)
        plain, mended = Rounded(graph, placement, grids), Rounded(graph, placement, grids, values)
        near = [decibels(wanted, outputs_of(walk, images)) for walk in (plain, mended)]
    assert near[1] > near[0] + 0.5
    assert len(values) > 6
    different = 0
    for node in placement.channel_axes:
        name = str(operand(node, 1).target)
        if name not in values:
            continue
        scales = plain.scales[node].view(-1, *[1] * (values[name].dim() - 1))
        integers = (values[name] / scales).round()
        assert torch.allclose(mended.weights[node], values[name], rtol=1e-5)
        assert (integers.flatten(1).abs().amax(1) == 127).all(), name
        assert (integers - (graph.get_parameter(name) / scales)).abs().max() < 1.001
        different += int((integers != (graph.get_parameter(name) / scales).round()).sum())
    assert different > 20
    assert values["features.4.0.weight"][kept == 0].abs().max() == 0


def test_adaround_is_written_into_the_networks_own_layers() -> None:
    model = model_of(Residual)
    found = quantize(
        model, HOST, [pictures(64)], Methods(correct_bias=False, equalize=False, rounding_steps=100)
    )
    assert found.quantization.method == "adaround"
    after = replace(model, module=found.module, quantization=found.quantization)
    images = pictures(16, seed=4)
    expected = run(model.module, images)
    plain = rounded(model, SCALES)
    assert sqnr_db(expected, run(quantized_graph(after, any_batch=True), images)) > sqnr_db(
        expected, run(quantized_graph(plain, any_batch=True), images)
    )
    graph, before = dict(quantized_graph(after).named_buffers()), folded_graph(model)
    changed = {
        name: value
        for name, value in folded_graph(after).named_parameters()
        if name.endswith(".weight") and not torch.equal(value, before.get_parameter(name))
    }
    assert len(changed) > 6
    for name, value in changed.items():
        scales = graph[f"{name}_scale"].view(-1, *[1] * (value.dim() - 1))
        assert torch.allclose(value, graph[name] * scales, rtol=1e-5, atol=1e-9), name
