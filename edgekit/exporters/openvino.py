"""OpenVINO IR, converted from the same Q/DQ ONNX graph that the other runtimes get."""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import files, optional
from edgekit.exporters import Counts, Written
from edgekit.exporters.onnx import DEFAULT_OPSET, tensor_specs, to_proto
from edgekit.exporters.openvino_concat import MOVEMENT, round_parts
from edgekit.operators import FileOperator

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import ModuleType

    from edgekit.exporters.layer_parity import LayerParity
    from edgekit.model import Model
    from edgekit.parity import Array
    from edgekit.target import Target

EXTRA, PACKAGES = "openvino", ("openvino", "onnx", "onnxscript")
MODEL_FILE, WEIGHTS_FILE = "model.xml", "model.bin"
WEIGHTED = ("Convolution", "GroupConvolution", "MatMul", "ConvolutionBackpropData")
_ADDED = re.compile(r"(:\d+)?(/WithoutBiases)?$")
"""What is appended to a layer's name: by edgekit where it is used again, by OpenVINO before its bias is added."""
_NUMBERED = re.compile(r"[A-Z]\w*_\d+")


def export(model: Model, target: Target, folder: Path) -> Written:
    """Write `model.xml` and `model.bin`; float weights stay float32, quantized ones are stored as int8.

    Raises `MissingError` without openvino or onnx.
    """
    openvino = package()
    from edgekit.exporters.onnx_rewrite import drop_zero_points

    proto = to_proto(model, target.opset or DEFAULT_OPSET)
    drop_zero_points(proto)  # OpenVINO keeps one that several layers share, and then computes these in float
    network = openvino.Core().read_model(proto.SerializeToString())
    _simplify(network)
    round_parts(network)
    _name_by_place(network)
    with tempfile.TemporaryDirectory() as temporary:
        openvino.save_model(network, Path(temporary) / MODEL_FILE, compress_to_fp16=False)
        for name in (MODEL_FILE, WEIGHTS_FILE):
            files.write_bytes(folder / name, (Path(temporary) / name).read_bytes())
    return Written(
        model_file=MODEL_FILE,
        inputs=tensor_specs(proto.graph.input),
        outputs=tensor_specs(proto.graph.output),
        files=(MODEL_FILE, WEIGHTS_FILE),
    )


def package() -> ModuleType:
    """OpenVINO without Intel's telemetry: on import that would report, from a process that it forks.

    Raises `MissingError` where it is not installed.
    """
    sys.modules.setdefault("openvino_telemetry", None)  # type: ignore[arg-type]
    return optional.load("openvino", extra="openvino")


def _simplify(network: Any) -> None:
    """What `openvino.convert_model` does after reading; that function also reports its use to Intel."""
    from openvino._offline_transformations import (
        apply_moc_transformations,
        compress_quantize_weights_transformation,
    )

    apply_moc_transformations(network, cf=False, smart_reshape=True)
    compress_quantize_weights_transformation(network)


def _name_by_place(network: Any) -> None:
    """OpenVINO numbers operators by how many the process has made; their place in the graph is always the same."""
    for index, node in enumerate(network.get_ordered_ops()):
        if _NUMBERED.fullmatch(node.get_friendly_name()):
            node.set_friendly_name(f"{node.get_type_name()}_{index}")


def tensor_parity(model: Model, path: Path, images: Array) -> list[LayerParity]:
    """Every integer tensor in OpenVINO against PyTorch's, for images (n, C, H, W) float32."""
    from edgekit.exporters import openvino_divergence

    return openvino_divergence.tensor_parity(model, path, images)


def count(path: Path) -> Counts:
    """Weighted operators whose activation is quantized and whose weights are stored as int8, of all of them."""
    operators = list(weighted_operators(read(path)))
    integer = sum(
        weight.get_element_type().get_type_name() == "i8"
        and _is_quantized(operator.input_value(0).get_node())
        for operator, weight in operators
    )
    return Counts(integer=integer, weighted=len(operators))


def weights(path: Path) -> dict[str, Array]:
    """Layer → its stored weights (out, in / groups, …), int8 or float32, by the names that the network gave."""
    return {
        _layer(operator, weight): _outputs_first(operator, np.array(weight.data))
        for operator, weight in weighted_operators(read(path))
    }


def operators(path: Path) -> tuple[FileOperator, ...]:
    """All operators but constants, in order of computation; those with weights name the layer that these come from."""
    network = read(path)
    layers = {
        str(operator.get_friendly_name()): _layer(operator, weight)
        for operator, weight in weighted_operators(network)
    }
    names = {node: str(node.get_friendly_name()) for node in network.get_ordered_ops()}
    return tuple(
        FileOperator(
            name=name,
            kind=str(node.get_type_name()),
            inputs=tuple(str(value.get_node().get_friendly_name()) for value in node.input_values()),
            outputs=(name,),
            layer=layers.get(name, ""),
        )
        for node, name in names.items()
        if node.get_type_name() != "Constant"
    )


def read(path: Path) -> Any:
    """The network of an IR, not compiled; raises `MissingError` without openvino."""
    return package().Core().read_model(path)


def _layer(operator: Any, weight: Any) -> str:
    """The weight's name tells; where OpenVINO reshaped a weight it made a new one, and its operator tells."""
    name = str(weight.get_friendly_name())
    if name.endswith(".weight"):
        return name.removesuffix(".weight")
    return _ADDED.sub("", str(operator.get_friendly_name()))


def _outputs_first(operator: Any, weight: Array) -> Array:
    """A product's weight (in, out) is turned, unless the file turns it itself."""
    if operator.get_type_name() != "MatMul" or weight.ndim != 2:
        return weight
    turned, source = bool(operator.get_attributes()["transpose_b"]), operator.input_value(1).get_node()
    while source.get_input_size():
        turned ^= source.get_type_name() == "Transpose"
        source = source.input_value(0).get_node()
    return weight if turned else weight.T


def weighted_operators(network: Any) -> Iterator[tuple[Any, Any]]:
    """Convolutions and linear layers, each with the constant that its weights come from."""
    for node in network.get_ordered_ops():
        if node.get_type_name() in WEIGHTED:
            source = node.input_value(1).get_node()
            while source.get_type_name() != "Constant" and source.get_input_size():
                source = source.input_value(0).get_node()
            if source.get_type_name() == "Constant":
                yield node, source


def _is_quantized(node: Any) -> bool:
    kind, sources = node.get_type_name(), [value.get_node() for value in node.input_values()]
    if kind == "Concat":
        return all(map(_is_quantized, sources))
    return _is_quantized(sources[0]) if kind in MOVEMENT else bool(kind == "FakeQuantize")
