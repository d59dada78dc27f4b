"""What readers of files make of constants and of values that are read again, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import openvino
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.exporters import file_graph
from edgekit.exporters.litert_graph import Graph, Operator, Tensor
from edgekit.graph.cost import Cost
from edgekit.graph.file_cost import cost_of_file
from edgekit.graph.file_graph import FileGraph, Operation, Value


def onnx_product(path: Path, left: tuple[int, ...] | None, right: tuple[int, ...] | None) -> Cost:
    """A MatMul of x, (6, 5) or (3, 6), with a constant on the one side or the other."""
    held = {name: shape for name, shape in (("a", left), ("b", right)) if shape is not None}
    x, inputs = ([6, 5], ["a", "x"]) if left else ([3, 6], ["x", "b"])
    graph = helper.make_graph(
        [helper.make_node("MatMul", inputs, ["y"], name="product")],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, x)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(np.ones(shape, np.float32), name) for name, shape in held.items()],
    )
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)]), path)
    return cost_of_file(file_graph(path))


def test_onnx_products_keep_their_sides_and_count_their_constants(tmp_path: Path) -> None:
    left = onnx_product(tmp_path / "left.onnx", (3, 6), None)
    assert (left.macs, left.params) == (3 * 6 * 5, 18)
    assert left.layers[0].read_bytes == 4 * 6 * 5
    stacked = onnx_product(tmp_path / "right.onnx", None, (2, 6, 5))
    assert (stacked.macs, stacked.params) == (2 * 3 * 6 * 5, 60)


def test_openvino_products_keep_their_sides(tmp_path: Path) -> None:
    ops = openvino.opset13
    x = ops.parameter([6, 5], np.float32, name="x")
    product = ops.matmul(ops.constant(np.ones((3, 6), np.float32)), x, False, False)
    openvino.save_model(openvino.Model([product], [x]), tmp_path / "a.xml", compress_to_fp16=False)
    found = cost_of_file(file_graph(tmp_path / "a.xml"))
    assert (found.macs, found.params) == (3 * 6 * 5, 18)


def test_float16_weights_of_a_tflite_file_are_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def tensor(index: int, shape: tuple[int, ...], dtype: str = "FLOAT32") -> Tensor:
        data = np.ones(shape, np.float16) if dtype == "FLOAT16" else None
        return Tensor(index, f"t{index}", shape, dtype, (), (), data)

    tensors = (
        *(tensor(0, (1, 8, 8, 3)), tensor(1, (4, 1, 1, 3), "FLOAT16"), tensor(2, (4, 1, 1, 3))),
        *(tensor(3, (4,), "FLOAT16"), tensor(4, (4,)), tensor(5, (1, 8, 8, 4))),
    )
    options = {"strideH": 1, "strideW": 1, "padding": 0}
    operators = (
        Operator("DEQUANTIZE", (1,), (2,), "NONE"),
        Operator("DEQUANTIZE", (3,), (4,), "NONE"),
        Operator("CONV_2D", (0, 2, 4), (5,), "NONE", options),
    )
    graph = Graph(tensors, operators, (0,), (5,))
    monkeypatch.setattr("edgekit.exporters.litert_static.read_graph", lambda *_, **__: graph)
    (tmp_path / "a.tflite").write_bytes(b"")
    found = cost_of_file(file_graph(tmp_path / "a.tflite"))
    assert (found.macs, found.params) == (8 * 8 * 4 * 3, 16)
    assert found.layers[0].weight_bytes == 2 * 16


def test_a_value_that_is_read_again_is_written_as_it_is() -> None:
    """`c` is read by an Add that stands behind the Quantize: the convolution writes it as floats."""
    picture, integers = Value((1, 4, 8, 8), 4), Value((1, 4, 8, 8), 1)
    values = {"x": picture, "w": Value((4, 4, 1, 1), 4), "c": picture, "r": picture}
    values |= {"q": integers, "d": picture, "y": picture}
    window = {"stride": [1, 1], "padding": [0, 0], "dilation": [1, 1], "groups": 1}
    steps = (
        Operation("conv2d", "conv", ("x", "w"), ("c",), window, "w"),
        Operation("relu", "relu", ("c",), ("r",)),
        Operation("quantize", "q", ("r",), ("q",)),
        Operation("dequantize", "d", ("q",), ("d",)),
        Operation("add", "sum", ("c", "d"), ("y",)),
    )
    file = FileGraph(values, frozenset({"w"}), ("x",), ("y",), steps)
    written = {layer.name: layer.written_bytes for layer in cost_of_file(file).layers}
    assert written["conv"] == 4 * 4 * 8 * 8
