"""Operators of an INT8 network that stay float: which, why, and what the graph is then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from contexts import context
from small_networks import Residual, model_of, pictures

from edgekit.data import Data, load_data
from edgekit.model import Event, Model
from edgekit.parity import sqnr_db
from edgekit.quantizer.calibrate import calibrate
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.mixed import float_layers, integer_layers, sensitivity, with_floats
from edgekit.quantizer.placement import origin
from edgekit.quantizer.reference import quantized_graph
from edgekit.recipe import QuantizeOptions
from edgekit.stages.mixed import fastest, within_budget
from edgekit.stages.quantize import Quantize
from edgekit.target import load_target


def int8(target: str = "host") -> Model:
    model = model_of(Residual)
    decided = calibrate(model, load_target(target).int8, [pictures(16)])
    return model.after(Event(stage="quantize", summary="INT8"), quantization=decided)


@pytest.fixture
def data() -> Data:
    return load_data(None, preprocessing=model_of(Residual).preprocessing)


def outputs(model: Model) -> np.ndarray[Any, Any]:
    network = quantized_graph(model, any_batch=True) if model.quantization else model.module.eval()
    with torch.no_grad():
        found: torch.Tensor = network(torch.from_numpy(pictures(8, seed=1)))
    return found.numpy()


def quantizers(model: Model) -> int:
    return sum("quantize_per" in str(node.target) for node in quantized_graph(model).graph.nodes)


@pytest.mark.parametrize("target", ["host", "intel-cpu", "jetson"])
def test_a_float_operator_has_neither_an_integer_weight_nor_scales(target: str) -> None:
    model = int8(target)
    layers = integer_layers(model)
    first = next(iter(layers))
    mixed = with_floats(model, [first])
    assert first not in integer_layers(mixed)
    assert len(integer_layers(mixed)) == len(layers) - 1
    assert quantizers(mixed) < quantizers(model)
    whole = dict(quantized_graph(mixed).named_buffers())
    assert f"{layers[first]}.weight_scale" not in whole


def test_with_every_operator_in_float_it_is_the_float_network_but_for_what_adds() -> None:
    model = int8("jetson")
    plain = replace(model, quantization=None)
    mixed = with_floats(model, list(integer_layers(model)))
    assert integer_layers(mixed) == {}
    assert sqnr_db(outputs(plain), outputs(mixed)) > sqnr_db(outputs(plain), outputs(model))


def test_operators_go_back_to_float_one_after_the_other() -> None:
    model = int8()
    one, two = list(integer_layers(model))[:2]
    step = with_floats(with_floats(model, [one]), [two])
    assert step.quantization == with_floats(model, [one, two]).quantization


def test_an_operator_whose_input_has_a_coarse_grid_costs_most() -> None:
    model = int8()
    assert model.quantization is not None
    layers, scales = integer_layers(model), dict(model.quantization.activations)
    worst = list(layers)[4]
    graph = folded_graph(model)
    (node,) = (node for node in graph.graph.nodes if node.name == worst)
    name = origin(node.args[0]).name
    scales[name] = scales[name].model_copy(update={"scale": 20 * scales[name].scale})
    coarse = replace(model, quantization=model.quantization.model_copy(update={"activations": scales}))
    before, costs = sensitivity(model, pictures(8)), sensitivity(coarse, pictures(8))
    assert costs.keys() == layers.keys()
    assert costs[worst] < before[worst] - 10
    assert {each: costs[each] for each in costs if each != worst} == {
        each: before[each] for each in before if each != worst
    }


class Stopwatch:
    """Layers that take what it is told, networks what their operators take together."""

    def __init__(self, slow: Sequence[str], border: float = 0.0) -> None:
        self.slow, self.border, self.asked = slow, border, 0

    def layers(self, model: Model) -> Mapping[str, float]:
        names = integer_layers(model) if model.quantization else integer_layers(int8())
        factor = 1.0 if model.quantization is None else 0.5
        return {layer: 2.0 if factor < 1 and layer in self.slow else factor for layer in names.values()}

    def medians(self, models: Sequence[Model]) -> list[float | None]:
        self.asked += 1
        whole = len(integer_layers(int8()))
        times: list[float | None] = []
        for model in models:
            if model.quantization is None:
                times.append(float(whole))
                continue
            integer = set(integer_layers(model).values())
            floats = whole - len(integer)
            slow = sum(2.0 if layer in self.slow else 0.5 for layer in integer)
            times.append(slow + floats * (1 + self.border))
        return times


def test_operators_that_integers_make_slower_go_back_to_float(data: Data) -> None:
    model = int8()
    slow = list(integer_layers(model).values())[2:4]
    found = fastest(model, replace(model, quantization=None), context(model, data), Stopwatch(slow))
    assert sorted(set(integer_layers(model).values()) - set(integer_layers(found).values())) == sorted(slow)
    assert found.lineage[-1].details["float_operators"] == slow
    assert "measured faster" in found.lineage[-1].summary


def test_where_borders_cost_more_than_is_won_all_stays_integer(data: Data) -> None:
    model = int8()
    slow = [list(integer_layers(model).values())[2]]
    found = fastest(model, replace(model, quantization=None), context(model, data), Stopwatch(slow, border=9))
    assert found.quantization == model.quantization
    assert found.lineage[-1].details["float_operators"] == []
    tried = found.lineage[-1].details["mixed_precision"]
    assert isinstance(tried, dict)
    assert "p50, float" in tried


def test_where_nothing_is_slower_nothing_is_measured_twice(data: Data) -> None:
    model, watch = int8(), Stopwatch([])
    assert fastest(model, replace(model, quantization=None), context(model, data), watch) is model
    assert watch.asked == 0


def test_the_costliest_operators_buy_the_budget_back(data: Data) -> None:
    model = int8()
    costs = sensitivity(model, data.calibration.images(np.arange(16)))
    worst = sorted(costs, key=lambda name: costs[name])[:2]

    def accuracy(asked: Model) -> float:
        assert asked.quantization is not None
        return 0.9 + 0.02 * len(asked.quantization.float_operators)

    within = replace(context(model, data), accuracy_floor=0.93, measured_accuracy=accuracy)
    found = within_budget(model, within)
    assert found.quantization is not None
    assert found.quantization.float_operators == tuple(sorted(worst))
    beyond = replace(within, accuracy_floor=0.999)
    assert within_budget(model, beyond) is model


@pytest.mark.parametrize(
    ("target", "left"), [("android", ["features.0.0"]), ("jetson", ["features.0.0"]), ("coral", [])]
)
def test_slow_operators_go_back_to_float_but_on_a_unit_for_integers_alone(
    target: str, left: list[str], data: Data
) -> None:
    model = model_of(Residual)
    told = context(model, data, target=load_target(target), timing=Stopwatch(["features.0.0"]))
    found = Quantize(QuantizeOptions(kind="quantize", method="ptq")).apply(model, told)
    assert list(float_layers(found)) == left
