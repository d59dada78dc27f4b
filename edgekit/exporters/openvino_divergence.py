"""Where a quantized IR and the PyTorch network part, tensor by tensor, in the order of computation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.exporters.layer_parity import LayerParity, compare_tensors
from edgekit.exporters.onnx_divergence import quantized_values
from edgekit.exporters.openvino import package, read
from edgekit.parity import batches_of

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from edgekit.model import Model
    from edgekit.parity import Array


def tensor_parity(model: Model, path: Path, images: Array) -> list[LayerParity]:
    """Every tensor that both the file and PyTorch quantize under one name, in order of computation.

    `images` is (n, C, H, W) float32. A float file has no such tensors. OpenVINO gives what its FakeQuantizes do as
    further outputs, on the CPU; what it computes in float is float32.
    """
    if model.quantization is None:
        return []
    batches = batches_of(images, model.input_shape[0])
    expected = quantized_values(model, batches)
    actual = _in_file(read(path), expected, batches)
    return [compare_tensors(name, expected[name], actual[name]) for name in actual]


def _in_file(network: Any, known: Container[str], batches: list[Array]) -> dict[str, Array]:
    tensors = {}
    for node in network.get_ordered_ops():
        if node.get_type_name() == "FakeQuantize":
            names = sorted(name for name in node.input_value(0).get_names() if name in known)
            tensors.update(dict.fromkeys(names[:1], node.output(0)))
    network.add_outputs(list(tensors.values()))
    places = [
        network.get_result_index(port) for port in tensors.values()
    ]  # one that was an output stays where it is
    compiled = package().Core().compile_model(network, "CPU", {"INFERENCE_PRECISION_HINT": "f32"})
    results = [list(compiled(batch).values()) for batch in batches]
    runs = [[values[place] for place in places] for values in results]
    return {
        name: np.concatenate(values) for name, values in zip(tensors, zip(*runs, strict=True), strict=True)
    }
