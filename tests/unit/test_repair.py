"""A file that departs from its network: which operator goes back to float, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from contexts import context
from small_networks import Residual, model_of

from edgekit.data import load_data
from edgekit.model import Model
from edgekit.quantizer.mixed import integer_layers, operator_before
from edgekit.recipe import QuantizeOptions
from edgekit.stages import Departure
from edgekit.stages.quantize import Quantize
from edgekit.stages.repair import MOST, repaired
from edgekit.target import load_target

DATA = load_data(None, preprocessing=model_of(Residual).preprocessing)
PTQ = Quantize(QuantizeOptions(kind="quantize", method="ptq", calibration_samples=16))


@pytest.fixture(scope="module")
def int8() -> Model:
    model = model_of(Residual)
    return PTQ.apply(model, context(model, DATA))


class Broken:
    """Files in which these operators, by their tensors, compute something else; the first of them is what is seen."""

    def __init__(self, tensors: Mapping[str, float]) -> None:
        self.tensors, self.asked = tensors, 0

    def __call__(self, model: Model) -> Departure | None:
        self.asked += 1
        left = {
            tensor: decibels
            for tensor, decibels in self.tensors.items()
            if operator_before(model, tensor) == tensor
        }
        tensor = next(iter(left), "")
        return Departure(min(left.values()), tensor, f"{tensor}: far") if left else None


def test_a_tensor_leads_to_the_weighted_operator_that_it_comes_from(int8: Model) -> None:
    layers = integer_layers(int8)
    assert operator_before(int8, "conv2d") == "conv2d"
    assert layers[operator_before(int8, "hardtanh_1") or ""] == "features.1.conv.0.0"
    assert operator_before(int8, "add") in layers
    assert operator_before(int8, "x") is None
    assert operator_before(int8, "") is None


def test_the_operator_at_fault_goes_back_to_float_and_no_other(int8: Model) -> None:
    file = Broken({"conv2d_3": 12.0})
    found, tried = repaired(int8, Departure(12.0, "conv2d_3", ""), file, mixes=True)
    assert found.quantization is not None
    assert found.quantization.float_operators == ("conv2d_3",)
    assert tried == ("features.1.conv.2.0 in float: near enough",)


def test_two_at_fault_go_one_after_the_other(int8: Model) -> None:
    file = Broken({"conv2d_1": 8.0, "conv2d_4": 15.0})
    found, tried = repaired(int8, Departure(8.0, "conv2d_1", ""), file, mixes=True)
    assert found.quantization is not None
    assert found.quantization.float_operators == ("conv2d_1", "conv2d_4")
    assert tried[0] == "features.1.conv.0.0 in float: 8.0 to 15.0 dB"
    assert tried[1].endswith("near enough")


def test_what_does_not_help_is_undone_and_said(int8: Model) -> None:
    found, tried = repaired(
        int8, Departure(12.0, "conv2d_3", ""), lambda _: Departure(12.4, "conv2d_3", ""), mixes=True
    )
    assert found is int8
    assert tried == ("features.1.conv.2.0 in float: 12.0 to 12.4 dB, not kept",)


def test_it_ends(int8: Model) -> None:
    every = {name: 2.0 + 3 * place for place, name in enumerate(integer_layers(int8))}
    file = Broken(every)
    first = next(iter(every))
    found, tried = repaired(int8, Departure(0.0, first, ""), file, mixes=True)
    assert file.asked == len(tried) == MOST
    assert found.quantization is not None
    assert len(found.quantization.float_operators) == MOST


@pytest.mark.parametrize(
    ("tensor", "mixes", "said"),
    [("", True, "no integer operator computes it"), ("conv2d", False, "integers throughout")],
)
def test_where_nothing_can_be_done_that_is_said(int8: Model, tensor: str, mixes: bool, said: str) -> None:
    file = Broken({})
    found, tried = repaired(int8, Departure(9.0, tensor, ""), file, mixes=mixes)
    assert (found, file.asked) == (int8, 0)
    assert said in tried[0]


def test_the_stage_repairs_and_tells_the_report() -> None:
    model = model_of(Residual)
    found = PTQ.apply(model, context(model, DATA, departure=Broken({"conv2d_3": 12.0})))
    assert found.quantization is not None
    assert found.quantization.float_operators == ("conv2d_3",)
    details = found.lineage[-1].details
    assert details["departure"] == "conv2d_3: far"
    assert details["repair"] == ["features.1.conv.2.0 in float: near enough"]
    assert details["float_operators"] == ["features.1.conv.2.0"]
    assert "1 operators in float" in found.lineage[-1].summary
    assert details["integer_activations"] == len(found.quantization.activations)
    strict = Quantize(PTQ.options.model_copy(update={"mixed": False}))
    found = strict.apply(model, context(model, DATA, departure=Broken({"conv2d_3": 12.0})))
    assert found.quantization is not None
    assert found.quantization.float_operators == ()
    coral = context(model, DATA, departure=Broken({"conv2d_3": 12.0}), target=load_target("coral"))
    kept = PTQ.apply(model, coral)
    assert kept.quantization is not None
    assert kept.quantization.float_operators == ()
    assert kept.lineage[-1].details["repair"] == ["nothing: target or recipe want integers throughout"]
