"""Each rule of ONNX Runtime's, broken alone in a file that meets them all: the breach names the operator."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper
from qdq_files import CHANNELS, add, by_name, model_of

from edgekit.errors import InputError
from edgekit.exporters.onnxruntime_rules import breaches
from edgekit.exporters.rules import refuse_broken, title
from edgekit.target import FileRules

if TYPE_CHECKING:
    from pathlib import Path

RULES = FileRules(runtime="onnxruntime")


def network() -> onnx.ModelProto:
    """Q/DQ → Conv → Relu → Q/DQ → MaxPool → Q/DQ → Concat → Q/DQ → Flatten → Gemm, as the rules want it."""
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["input", "s", "z"], ["q0"], "quantize"),
        node("DequantizeLinear", ["q0", "s", "z"], ["d0"], "dequantize"),
        node("DequantizeLinear", ["conv.weight", "ws", "wz"], ["dw"], "conv_weight", axis=0),
        node("Conv", ["d0", "dw", "bias"], ["c"], "conv", kernel_shape=[1, 1]),
        node("Relu", ["c"], ["r"], "relu"),
        node("QuantizeLinear", ["r", "s", "low"], ["q1"], "quantize_1"),
        node("DequantizeLinear", ["q1", "s", "low"], ["d1"], "dequantize_1"),
        node("MaxPool", ["d1"], ["p"], "pool", kernel_shape=[8, 8]),
        node("QuantizeLinear", ["p", "s", "low"], ["q2"], "quantize_2"),
        node("DequantizeLinear", ["q2", "s", "low"], ["d2"], "dequantize_2"),
        node("Concat", ["d2", "d2"], ["k"], "join", axis=1),
        node("QuantizeLinear", ["k", "s", "low"], ["q3"], "quantize_3"),
        node("DequantizeLinear", ["q3", "s", "low"], ["d3"], "dequantize_3"),
        node("Flatten", ["d3"], ["f"], "flatten"),
        node("QuantizeLinear", ["f", "s", "low"], ["q4"], "quantize_4"),
        node("DequantizeLinear", ["q4", "s", "low"], ["d4"], "dequantize_4"),
        node("DequantizeLinear", ["fc.weight", "ws", "wz"], ["dfc"], "fc_weight", axis=0),
        node("Gemm", ["d4", "dfc", "bias"], ["output"], "fc", transB=1),
    ]
    rng = np.random.default_rng(0)
    constants = {
        "s": np.float32(0.02),
        "z": np.uint8(120),
        "low": np.uint8(0),
        "ws": np.full(CHANNELS, 0.01, np.float32),
        "wz": np.zeros(CHANNELS, np.int8),
        "conv.weight": rng.integers(-127, 128, (CHANNELS, CHANNELS, 1, 1)).astype(np.int8),
        "fc.weight": rng.integers(-127, 128, (CHANNELS, 2 * CHANNELS)).astype(np.int8),
        "bias": rng.normal(size=CHANNELS).astype(np.float32),
    }
    return model_of(nodes, constants)


def point(model: onnx.ModelProto, operators: tuple[str, ...], place: int, value: Any) -> None:
    """Give operators another scale (1) or zero point (2)."""
    name = add(model, f"other_{place}", value)
    for operator in operators:
        by_name(model, operator).input[place] = name


FIRST = ("quantize", "dequantize")
SECOND = ("quantize_1", "dequantize_1")
THIRD = ("quantize_2", "dequantize_2")


def signed(model: onnx.ModelProto) -> None:
    point(model, FIRST, 2, np.int8(-8))


def per_channel_activation(model: onnx.ModelProto) -> None:
    point(model, FIRST, 1, np.full(CHANNELS, 0.1, np.float32))
    point(model, FIRST, 2, np.zeros(CHANNELS, np.uint8))


def infinite(model: onnx.ModelProto) -> None:
    point(model, FIRST, 1, np.float32(np.inf))


def zero_point_from_outside(model: onnx.ModelProto) -> None:
    by_name(model, "quantize").input[2] = "input"


def read_on_another_grid(model: onnx.ModelProto) -> None:
    by_name(model, "dequantize").input[1] = add(model, "wide", np.float32(0.04))


def moved_to_another_grid(model: onnx.ModelProto) -> None:
    point(model, (*THIRD, "quantize_3", "dequantize_3", "quantize_4", "dequantize_4"), 1, np.float32(0.5))


def one_scale_for_all_channels(model: onnx.ModelProto) -> None:
    point(model, ("conv_weight",), 1, np.float32(0.01))
    by_name(model, "conv_weight").input[2] = add(model, "zero", np.int8(0))


def along_inputs(model: onnx.ModelProto) -> None:
    by_name(model, "conv_weight").attribute[0].i = 1


def unsigned_weight(model: onnx.ModelProto) -> None:
    shape = (CHANNELS, CHANNELS, 1, 1)
    by_name(model, "conv_weight").input[0] = add(model, "unsigned.weight", np.ones(shape, np.uint8))
    by_name(model, "conv_weight").input[2] = add(model, "unsigned_zero", np.zeros(CHANNELS, np.uint8))


def shifted_weight(model: onnx.ModelProto) -> None:
    point(model, ("conv_weight",), 2, np.full(CHANNELS, 3, np.int8))


def float_weight(model: onnx.ModelProto) -> None:
    shape = (CHANNELS, CHANNELS, 1, 1)
    by_name(model, "conv").input[1] = add(model, "float.weight", np.ones(shape, np.float32))


def float_activation(model: onnx.ModelProto) -> None:
    by_name(model, "conv").input[0] = "input"


def float_result(model: onnx.ModelProto) -> None:
    model.graph.node.append(helper.make_node("Sigmoid", ["c"], ["aside"], "sigmoid"))


def cutting(model: onnx.ModelProto) -> None:
    """The Relu must run: the integers behind it reach below zero."""
    operators = (*SECOND, *THIRD, "quantize_3", "dequantize_3", "quantize_4", "dequantize_4")
    point(model, operators, 2, np.uint8(10))


def stored_bias(model: onnx.ModelProto, values: Any, scale: Any, zero: Any) -> None:
    names = [add(model, f"bias_{name}", value) for name, value in (("i", values), ("s", scale), ("z", zero))]
    at = list(model.graph.node).index(by_name(model, "conv"))
    model.graph.node.insert(at, helper.make_node("DequantizeLinear", names, ["db"], "bias_dq", axis=0))
    by_name(model, "conv").input[2] = "db"


def right_bias(model: onnx.ModelProto) -> None:
    scale = np.full(CHANNELS, np.float32(0.02) * np.float32(0.01), np.float32)
    stored_bias(model, np.ones(CHANNELS, np.int32), scale, np.zeros(CHANNELS, np.int32))


def bias_of_another_scale(model: onnx.ModelProto) -> None:
    scale = np.full(CHANNELS, 0.02, np.float32)
    stored_bias(model, np.ones(CHANNELS, np.int32), scale, np.zeros(CHANNELS, np.int32))


def bias_of_bytes(model: onnx.ModelProto) -> None:
    scale = np.full(CHANNELS, 0.0002, np.float32)
    stored_bias(model, np.ones(CHANNELS, np.int8), scale, np.zeros(CHANNELS, np.int8))


def half_joined(model: onnx.ModelProto) -> None:
    by_name(model, "join").input[1] = "p"


@pytest.mark.parametrize("change", [lambda _: None, right_bias])
def test_a_file_by_the_rules_breaks_none(change: Any, tmp_path: Path) -> None:
    model = network()
    change(model)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "model.onnx")
    assert breaches(tmp_path / "model.onnx", RULES) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (signed, "{}: its integers are int8, not uint8, which kernels on x86 take"),
        (per_channel_activation, "{}: an activation has a scale per channel, not one per tensor"),
        (infinite, "{}: its scale is no positive constant"),
        (zero_point_from_outside, "quantize: its zero point is no constant"),
        (
            read_on_another_grid,
            "dequantize: it does not have the scale and zero point of quantize, whose integers it reads",
        ),
        (
            moved_to_another_grid,
            "pool (MaxPool): quantize_2 has another scale or zero point than dequantize_1",
        ),
        (one_scale_for_all_channels, "conv: its weight has one scale, not one per output channel"),
        (along_inputs, "conv: its weight's scales lie along axis 1, not along output channels"),
        (unsigned_weight, "conv: its weight's integers are uint8, not int8"),
        (shifted_weight, "conv: its weight's zero point is 3, not 0"),
        (float_weight, "conv: its weight is not quantized"),
        (float_activation, "conv: its activation is not quantized"),
        (float_result, "conv: its result is not quantized: relu takes it in float"),
        (
            cutting,
            "conv: relu (Relu) cuts inside the range of quantize_1, -0.2 to 4.9, and cannot be left out",
        ),
        (bias_of_another_scale, "conv: its bias's scale is not that of its input times those of its weight"),
        (bias_of_bytes, "conv: its bias is int8, not float or int32"),
        (half_joined, "join (Concat): p is float beside integers"),
    ],
)
def test_a_broken_rule_is_found_alone_and_named(change: Any, expected: str, tmp_path: Path) -> None:
    model = network()
    change(model)
    onnx.save(model, tmp_path / "model.onnx")
    wanted = [expected.format(name) for name in FIRST] if "{}" in expected else [expected]
    assert breaches(tmp_path / "model.onnx", RULES) == wanted


def test_a_file_with_many_breaches_is_refused_by_the_first_three(tmp_path: Path) -> None:
    model = network()
    for change in (signed, shifted_weight, float_result, half_joined):
        change(model)
    onnx.save(model, tmp_path / "model.onnx")
    with pytest.raises(InputError) as caught:
        refuse_broken(tmp_path / "model.onnx", RULES)
    told = caught.value.what.removeprefix(
        "the INT8 file breaks the rules of ONNX Runtime's QDQ format on x86: "
    ).split("; ")
    assert told[2:] == ["conv: its weight's zero point is 3, not 0", "and 2 more"]
    assert told[0].startswith("quantize: ")
    assert title(RULES) == "ONNX Runtime's QDQ format on x86"
