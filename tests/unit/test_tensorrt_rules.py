"""Each rule of TensorRT's, broken alone: the breach names the operator that breaks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import onnx
import pytest
from onnx import helper
from qdq_files import CHANNELS, add, by_name, model_of

from edgekit.exporters.tensorrt_rules import breaches
from edgekit.target import FileRules

if TYPE_CHECKING:
    from pathlib import Path


def rules(opset: int = 19) -> FileRules:
    return FileRules(runtime="tensorrt", opset=opset)


def network() -> onnx.ModelProto:
    """Q/DQ → Conv → Relu → Q/DQ → Gemm, as the rules want it."""
    node = helper.make_node
    nodes = [
        node("QuantizeLinear", ["input", "s", "z"], ["q0"], "quantize"),
        node("DequantizeLinear", ["q0", "s", "z"], ["d0"], "dequantize"),
        node("DequantizeLinear", ["conv.weight", "ws", "wz"], ["dw"], "conv_weight", axis=0),
        node("Conv", ["d0", "dw", "bias"], ["c"], "conv", kernel_shape=[1, 1]),
        node("Relu", ["c"], ["r"], "relu"),
        node("GlobalAveragePool", ["r"], ["p"], "pool"),
        node("Flatten", ["p"], ["f"], "flatten"),
        node("QuantizeLinear", ["f", "s", "z"], ["q1"], "quantize_2"),
        node("DequantizeLinear", ["q1", "s", "z"], ["d1"], "dequantize_2"),
        node("DequantizeLinear", ["fc.weight", "ws", "wz"], ["dfc"], "fc_weight", axis=0),
        node("Gemm", ["d1", "dfc", "bias"], ["output"], "fc", transB=1),
    ]
    rng = np.random.default_rng(0)
    constants = {
        "s": np.float32(0.02),
        "z": np.int8(0),
        "ws": np.full(CHANNELS, 0.01, np.float32),
        "wz": np.zeros(CHANNELS, np.int8),
        "conv.weight": rng.integers(-127, 128, (CHANNELS, CHANNELS, 1, 1)).astype(np.int8),
        "fc.weight": rng.integers(-127, 128, (CHANNELS, CHANNELS)).astype(np.int8),
        "bias": rng.normal(size=CHANNELS).astype(np.float32),
    }
    return model_of(nodes, constants)


def rescale(model: onnx.ModelProto, value: Any) -> None:
    by_name(model, "quantize_2").input[1] = add(model, "other", value)


def with_zero_point(model: onnx.ModelProto) -> None:
    by_name(model, "dequantize").input[2] = add(model, "three", np.int8(3))


def unsigned(model: onnx.ModelProto) -> None:
    by_name(model, "quantize").input[2] = add(model, "unsigned", np.uint8(0))


def without_zero_point(model: onnx.ModelProto) -> None:
    del by_name(model, "quantize").input[2]


def per_channel_activation(model: onnx.ModelProto) -> None:
    rescale(model, np.full(CHANNELS, 0.1, np.float32))
    by_name(model, "quantize_2").input[2] = "wz"


def scale_from_outside(model: onnx.ModelProto) -> None:
    by_name(model, "quantize_2").input[1] = "input"


def one_scale_for_all_channels(model: onnx.ModelProto) -> None:
    by_name(model, "conv_weight").input[1:] = ["s", "z"]


def along_inputs(model: onnx.ModelProto) -> None:
    by_name(model, "conv_weight").attribute[0].i = 1


def linear_along_inputs(model: onnx.ModelProto) -> None:
    by_name(model, "fc").attribute[0].i = 0


def transposed(model: onnx.ModelProto, axis: int) -> None:
    """The product of tokens: its weight is stored as PyTorch has it, and transposed before it is used."""
    fc = by_name(model, "fc")
    model.graph.node.remove(fc)
    by_name(model, "fc_weight").attribute[0].i = axis
    model.graph.node.append(helper.make_node("Transpose", ["dfc"], ["dfct"], "transpose", perm=[1, 0]))
    model.graph.node.append(helper.make_node("MatMul", ["d1", "dfct"], ["output"], "product"))


def quantized_bias(model: onnx.ModelProto) -> None:
    add(model, "bias_int8", np.ones(CHANNELS, np.int8))
    model.graph.node.insert(
        0, helper.make_node("DequantizeLinear", ["bias_int8", "s", "z"], ["db"], "bias_dq")
    )
    by_name(model, "conv").input[2] = "db"


def float_activation(model: onnx.ModelProto) -> None:
    by_name(model, "conv").input[0] = "input"


def float_weight(model: onnx.ModelProto) -> None:
    weight = np.ones((CHANNELS, CHANNELS, 1, 1), np.float32)
    by_name(model, "conv").input[1] = add(model, "conv.float", weight)


def cut_off_activation(model: onnx.ModelProto) -> None:
    at = list(model.graph.node).index(by_name(model, "relu"))
    model.graph.node.insert(at, helper.make_node("QuantizeLinear", ["c", "s", "z"], ["qc"], "quantize_c"))
    model.graph.node.insert(
        at + 1, helper.make_node("DequantizeLinear", ["qc", "s", "z"], ["dc"], "dequantize_c")
    )
    by_name(model, "relu").input[0] = "dc"


def test_a_file_by_the_rules_breaks_none(tmp_path: Path) -> None:
    onnx.checker.check_model(network(), full_check=True)
    onnx.save(network(), tmp_path / "model.onnx")
    assert breaches(tmp_path / "model.onnx", rules(19)) == []
    assert breaches(tmp_path / "model.onnx", rules(18)) == ["opset 19 is above 18"]


def test_scales_are_followed_through_a_transpose(tmp_path: Path) -> None:
    model = network()
    transposed(model, axis=0)
    onnx.checker.check_model(model, full_check=True)
    onnx.save(model, tmp_path / "model.onnx")
    assert breaches(tmp_path / "model.onnx", rules(19)) == []


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (with_zero_point, "dequantize: its zero point is 3, not 0"),
        (unsigned, "quantize: its integers are uint8, not signed INT8"),
        (without_zero_point, "quantize: its zero point is no constant"),
        (lambda model: rescale(model, np.float32(-0.1)), "quantize_2: its scale is no positive constant"),
        (lambda model: rescale(model, np.float32(np.inf)), "quantize_2: its scale is no positive constant"),
        (scale_from_outside, "quantize_2: its scale is no positive constant"),
        (per_channel_activation, "quantize_2: an activation has a scale per channel, not one per tensor"),
        (one_scale_for_all_channels, "conv: its weight has one scale, not one per output channel"),
        (along_inputs, "conv: its weight's scales lie along axis 1, not along output channels"),
        (linear_along_inputs, "fc: its weight's scales lie along axis 0, not along output channels"),
        (
            lambda model: transposed(model, axis=1),
            "product: its weight's scales lie along axis 0, not along output channels",
        ),
        (quantized_bias, "conv: its bias is quantized"),
        (float_activation, "conv: its activation is not quantized"),
        (float_weight, "conv: its weight is not quantized"),
        (cut_off_activation, "conv: Q/DQ stands between it and relu (Relu)"),
    ],
)
def test_a_broken_rule_is_found_alone_and_named(change: Any, expected: str, tmp_path: Path) -> None:
    model = network()
    change(model)
    onnx.save(model, tmp_path / "model.onnx")
    assert breaches(tmp_path / "model.onnx", rules(19)) == [expected]
