"""OpenVINO IR, converted from the same Q/DQ ONNX graph that the other runtimes get."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import optional
from edgekit.exporters import Counts, Written
from edgekit.exporters import onnx as onnx_format

if TYPE_CHECKING:
    from edgekit.model import Model
    from edgekit.parity import Array
    from edgekit.target import Target

MODEL_FILE, WEIGHTS_FILE = "model.xml", "model.bin"
WEIGHTED = ("Convolution", "GroupConvolution", "MatMul", "ConvolutionBackpropData")


def export(model: Model, target: Target, folder: Path) -> Written:
    """Write `model.xml` and `model.bin`; float weights stay float32, quantized ones are stored as int8.

    Raises `MissingError` without openvino or onnx.
    """
    openvino = optional.load("openvino", extra="openvino")
    with tempfile.TemporaryDirectory() as name:
        written = onnx_format.export(model, target, Path(name))
        network = openvino.convert_model(str(Path(name) / written.model_file))
        openvino.save_model(network, str(folder / MODEL_FILE), compress_to_fp16=False)
    return Written(model_file=MODEL_FILE, inputs=written.inputs, outputs=written.outputs,
                   files=(MODEL_FILE, WEIGHTS_FILE), notes=written.notes)


def count(path: Path) -> Counts:
    """Weighted operators whose weights are stored as int8 behind a dequantization, of all weighted ones."""
    operators = _weighted(path)
    return Counts(integer=sum(value.dtype == "int8" for value in operators.values()), weighted=len(operators))


def weights(path: Path) -> dict[str, Array]:
    """Layer → its stored weights; grouped ones as (groups, out/groups, in/groups, …)."""
    return _weighted(path)


def _weighted(path: Path) -> dict[str, Array]:
    openvino = optional.load("openvino", extra="openvino")
    found: dict[str, Array] = {}
    for node in openvino.Core().read_model(str(path)).get_ordered_ops():
        if node.get_type_name() in WEIGHTED:
            source = node.input_value(1).get_node()
            while source.get_type_name() != "Constant" and source.get_input_size():
                source = source.input_value(0).get_node()
            if source.get_type_name() == "Constant":
                found[source.get_friendly_name().removesuffix(".weight")] = source.data
    return found

