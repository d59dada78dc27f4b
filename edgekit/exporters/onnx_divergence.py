"""Where a quantized ONNX file and the PyTorch network part, tensor by tensor, in the order of computation."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import fx

from edgekit import optional
from edgekit.exporters.layer_parity import LayerParity, compare_tensors
from edgekit.exporters.onnx_read import OnnxFile, read
from edgekit.parity import batches_of
from edgekit.quantizer.graphs import operand
from edgekit.quantizer.reference import quantized_graph

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.model import Model
    from edgekit.parity import Array


def tensor_parity(model: Model, path: Path, images: Array) -> list[LayerParity]:
    """Every tensor that both the file and PyTorch quantize under one name, in order of computation.

    `images` is (n, C, H, W) float32. A float file has no such tensors. The file runs in ONNX Runtime with its integers
    as further outputs, so that fused kernels stay fused.
    """
    if model.quantization is None:
        return []
    batches = batches_of(images, model.input_shape[0])
    expected, actual = quantized_values(model, batches), _in_file(read(path), batches)
    return [compare_tensors(name, expected[name], actual[name]) for name in actual if name in expected]


def quantized_values(model: Model, batches: list[Array]) -> dict[str, Array]:
    """What every tensor that PyTorch quantizes holds, by its name, over these batches (N, C, H, W)."""
    graph = quantized_graph(model)
    found: dict[str, list[Array]] = {}

    class Recorder(fx.Interpreter):
        def run_node(self, n: fx.Node) -> object:
            value = super().run_node(n)
            if n.target is torch.ops.quantized_decomposed.quantize_per_tensor.default:
                scale, zero = n.args[1], n.args[2]
                found.setdefault(operand(n, 0).name, []).append(
                    (value.numpy().astype(np.float32) - zero) * scale
                )
            return value

    with torch.no_grad():
        for batch in batches:
            Recorder(graph).run(torch.from_numpy(batch))
    return {name: np.concatenate(values) for name, values in found.items()}


def _in_file(file: OnnxFile, batches: list[Array]) -> dict[str, Array]:
    onnx, runtime = optional.load("onnx", extra="onnx"), optional.load("onnxruntime", extra="onnx")
    quantizers = [node for node in file.nodes if node.op_type == "QuantizeLinear"]
    for node in quantizers:
        kind = onnx.helper.np_dtype_to_tensor_dtype(file.constants[node.input[2]].dtype)
        file.model.graph.output.append(onnx.helper.make_tensor_value_info(node.output[0], kind, None))
    session = runtime.InferenceSession(file.model.SerializeToString(), providers=["CPUExecutionProvider"])
    names = [node.output[0] for node in quantizers]
    runs = [session.run(names, {"input": batch}) for batch in batches]
    found = {}
    for node, integers in zip(quantizers, zip(*runs, strict=True), strict=True):
        scale, zero = (file.constants[name].astype(np.float32) for name in node.input[1:3])
        found[node.input[0]] = (np.concatenate(integers).astype(np.float32) - zero) * scale
    return found
