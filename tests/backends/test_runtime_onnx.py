"""ONNX Runtime and OpenVINO on a tiny network, float and INT8, each run in a child as users run it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.artifact import Artifact, ArtifactFolder, TensorSpec
from edgekit.bench import Candidate, Failure, Protocol, compare, float_candidates, measure, predict
from edgekit.devices.local import Local
from edgekit.errors import MeasurementError
from edgekit.measurement import Profile
from edgekit.model import Preprocessing
from edgekit.parity import sqnr_db

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.devices import Array

SHORT = Protocol(blocks=1, warmup_seconds=0.02, min_seconds=0.05, min_samples=20)
WIDTHS = (3, 16, 16)
CLASSES = 10
GRIDS = ((0.03, 0), (0.02, -128), (0.02, -128), (0.02, 0))
"""Scale and zero point of the input, of what follows the two ReLUs, and of the output."""
DEVICE = Local()


def weights() -> list[tuple[Array, Array]]:
    """Two 3×3 convolutions of stride 2 and a linear layer, each (weight, bias)."""
    rng = np.random.default_rng(0)
    shapes = [(outputs, inputs, 3, 3) for inputs, outputs in pairwise(WIDTHS)]
    return [
        (
            rng.normal(0, (2 / np.prod(shape[1:])) ** 0.5, shape).astype(np.float32),
            rng.normal(0, 0.1, shape[0]).astype(np.float32),
        )
        for shape in [*shapes, (CLASSES, WIDTHS[-1])]
    ]


def reference(inputs: Array) -> Array:
    """The network in numpy: conv, ReLU, conv, ReLU, mean, linear."""
    *convs, (weight, bias) = weights()
    for kernel, offset in convs:
        padded = np.pad(inputs, ((0, 0), (0, 0), (1, 1), (1, 1)))
        windows = np.lib.stride_tricks.sliding_window_view(padded, (3, 3), axis=(2, 3))[:, :, ::2, ::2]
        inputs = np.maximum(np.einsum("nchwij,ocij->nohw", windows, kernel) + offset[:, None, None], 0)
    return np.asarray(inputs.mean(axis=(2, 3)) @ weight.T + bias)


class Graph:
    """Nodes and constants, with Q/DQ around what is weighted where `quantized`."""

    def __init__(self, *, quantized: bool) -> None:
        self.quantized = quantized
        self.nodes: list[onnx.NodeProto] = []
        self.constants: dict[str, Array] = {}

    def add(self, kind: str, inputs: list[str], **attributes: int | list[int]) -> str:
        output = f"{kind}{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], output, None, None, None, **attributes))
        return output

    def constant(self, value: Array) -> str:
        name = f"constant{len(self.constants)}"
        self.constants[name] = value
        return name

    def activation(self, name: str, place: int) -> str:
        if not self.quantized:
            return name
        scale, zero_point = GRIDS[place]
        grid = [self.constant(np.array(scale, np.float32)), self.constant(np.array(zero_point, np.int8))]
        return self.add("DequantizeLinear", [self.add("QuantizeLinear", [name, *grid]), *grid])

    def weight(self, value: Array) -> str:
        if not self.quantized:
            return self.constant(value)
        scale = np.abs(value).reshape(len(value), -1).max(axis=1) / 127
        integers = np.round(value / scale.reshape(-1, *[1] * (value.ndim - 1))).astype(np.int8)
        grid = [self.constant(scale.astype(np.float32)), self.constant(np.zeros(len(value), np.int8))]
        return self.add("DequantizeLinear", [self.constant(integers), *grid], axis=0)


def build(*, quantized: bool) -> onnx.ModelProto:
    graph = Graph(quantized=quantized)
    *convs, (weight, bias) = weights()
    current = "x"
    for place, (kernel, offset) in enumerate(convs):
        operands = [graph.activation(current, place), graph.weight(kernel), graph.constant(offset)]
        current = graph.add("Relu", [graph.add("Conv", operands, pads=[1, 1, 1, 1], strides=[2, 2])])
    # Q/DQ before the pooling too: ONNX Runtime takes a convolution as integer only where its output is one.
    current = graph.activation(current, 2)
    current = graph.add("Flatten", [graph.add("GlobalAveragePool", [current])])
    operands = [graph.activation(current, 2), graph.weight(weight), graph.constant(bias)]
    current = graph.activation(graph.add("Gemm", operands, transB=1), 3)
    proto = helper.make_graph(
        graph.nodes,
        "tiny",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 3, 16, 16])],
        [helper.make_tensor_value_info(current, TensorProto.FLOAT, [1, CLASSES])],
        [numpy_helper.from_array(value, name) for name, value in graph.constants.items()],
    )
    model = helper.make_model(proto, opset_imports=[helper.make_opsetid("", 19)], ir_version=9)
    onnx.checker.check_model(model, full_check=True)
    return model


def placed(folder: Path, runtime: str, *, quantized: bool) -> ArtifactFolder:
    """The network as that runtime's artifact."""
    source = folder / "model.onnx"
    onnx.save(build(quantized=quantized), source)
    names = [source.name]
    if runtime == "openvino":
        # `convert_model` would report to its makers from a forked process; reading does not.
        openvino.save_model(openvino.Core().read_model(source), folder / "model.xml", compress_to_fp16=False)
        names = ["model.xml", "model.bin"]
    return Artifact(
        model="tiny",
        task="classification",
        format="openvino" if runtime == "openvino" else "onnx",
        precision="int8" if quantized else "fp32",
        model_file=names[0],
        sha256=dict.fromkeys(names, ""),
        inputs=(TensorSpec(name="x", shape=(1, 3, 16, 16), dtype="float32", layout="NCHW"),),
        outputs=(TensorSpec(name="y", shape=(1, CLASSES), dtype="float32", layout="NC"),),
        preprocessing=Preprocessing(height=16, width=16, mean=(0, 0, 0), std=(1, 1, 1)),
        labels=(),
    ).at(folder)


def inputs(count: int) -> Array:
    return np.random.default_rng(1).standard_normal((count, 3, 16, 16)).astype(np.float32)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_float_gives_the_networks_own_numbers(tmp_path: Path, runtime: str) -> None:
    outputs = predict(placed(tmp_path, runtime, quantized=False), runtime, inputs(4), DEVICE)
    assert outputs.dtype == np.float32
    np.testing.assert_allclose(outputs, reference(inputs(4)), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_int8_comes_close_and_is_proved_by_counting(tmp_path: Path, runtime: str) -> None:
    artifact = placed(tmp_path, runtime, quantized=True)
    assert sqnr_db(reference(inputs(4)), predict(artifact, runtime, inputs(4), DEVICE)) > 20
    executed = measure(Candidate("int8", artifact, runtime), DEVICE, threads=1, protocol=SHORT).executed
    assert (executed.integer_operators, executed.float_operators) == (3, 0)
    assert executed.operators


def test_onnxruntime_runs_float_on_floats_and_says_how(tmp_path: Path) -> None:
    artifact = placed(tmp_path, "onnxruntime", quantized=False)
    profile = measure(Candidate("float", artifact, "onnxruntime"), DEVICE, threads=1, protocol=SHORT)
    assert (profile.executed.integer_operators, profile.executed.float_operators) == (0, 3)
    assert profile.executed.operators["Conv"] == 2
    assert profile.executed.float_precision == "f32"
    assert profile.executed.details["intra_op_threads"] == "1"
    assert [len(block) >= 20 for block in profile.blocks_ns] == [True]


def test_openvino_runs_what_was_pinned(tmp_path: Path) -> None:
    artifact = placed(tmp_path, "openvino", quantized=False)
    candidates = float_candidates(artifact, "openvino", DEVICE)
    has_bf16 = "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES")
    assert [one.name for one in candidates] == (["f32", "bf16"] if has_bf16 else ["f32"])
    candidates.append(Candidate("without options", artifact, "openvino"))
    for name, outcome in compare(candidates, DEVICE, threads=1, protocol=SHORT).items():
        assert isinstance(outcome, Profile)
        pinned = "f32" if name == "without options" else name
        assert outcome.executed.float_precision == pinned
        assert outcome.executed.details["INFERENCE_PRECISION_HINT"] == pinned
        assert outcome.executed.details["PERFORMANCE_HINT"] == "LATENCY"
        assert (outcome.executed.integer_operators, outcome.executed.float_operators) == (0, 3)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_broken_file_fails_alone(tmp_path: Path, runtime: str) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "bad").mkdir()
    good = placed(tmp_path / "good", runtime, quantized=False)
    bad = placed(tmp_path / "bad", runtime, quantized=False)
    bad.model_path.write_bytes(bad.model_path.read_bytes()[:100])
    outcomes = compare(
        [Candidate("bad", bad, runtime), Candidate("good", good, runtime)], DEVICE, threads=1, protocol=SHORT
    )
    assert isinstance(outcomes["good"], Profile)
    assert isinstance(outcomes["bad"], Failure)
    assert "while opening the model" in outcomes["bad"].reason
    with pytest.raises(MeasurementError):
        predict(bad, runtime, inputs(1), DEVICE)


@pytest.mark.parametrize("weighted", [True, False])
@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_product_of_two_activations_is_no_linear_layer(
    tmp_path: Path, runtime: str, *, weighted: bool
) -> None:
    """x · Wᵀ is one; x · xᵀ, as in attention, has no weights."""
    artifact = placed(tmp_path, "onnxruntime", quantized=False)
    shapes = {"x": [1, 3, 16, 16], "y": [1, 3, 16, 16]}
    left, right = (
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in shapes.items()
    )
    constants = [numpy_helper.from_array(np.eye(16, dtype=np.float32), "w")] if weighted else []
    nodes = [
        helper.make_node("Transpose", ["x"], ["t"], perm=[0, 1, 3, 2]),
        helper.make_node("MatMul", ["x", "w" if weighted else "t"], ["m"]),
        helper.make_node("Add", ["m", "t"], ["y"]),
    ]
    graph = helper.make_graph(nodes, "product", [left], [right], constants)
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=9),
        artifact.model_path,
    )
    executed = measure(Candidate("product", artifact, runtime), DEVICE, threads=1, protocol=SHORT).executed
    assert (executed.integer_operators, executed.float_operators) == (0, int(weighted))
