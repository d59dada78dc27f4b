"""The rules of TensorRT's explicit quantization, checked on an ONNX file without torch and without TensorRT.

After NVIDIA's "Working with Quantized Types" for TensorRT 10 and 11.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.exporters.onnx_read import OnnxFile, read
from edgekit.exporters.onnx_scales import QDQ, off_channels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.target import FileRules

TITLE = "TensorRT's explicit quantization"
_FUSED = (
    "BatchNormalization",
    "Relu",
    "Clip",
    "LeakyRelu",
    "HardSwish",
    "HardSigmoid",
    "Sigmoid",
    "Elu",
    "Gelu",
)
"""What TensorRT computes inside the convolution before it, unless Q/DQ stands between."""


def breaches(path: Path, rules: FileRules) -> list[str]:
    """Every rule that a quantized ONNX file breaks, with the operator that breaks it; empty where it meets all.

    Raises `MissingError` without onnx.
    """
    file = read(path)
    highest = rules.opset or file.opset
    found = [f"opset {file.opset} is above {highest}"] if file.opset > highest else []
    for node in file.nodes:
        if node.op_type in QDQ:
            found.extend(_in_scale(file, node))
        if node in file.weighted:
            found.extend(_in_weighted(file, node))
        if node.op_type in _FUSED and (before := _behind_qdq(file, node)) is not None:
            found.append(f"{before.name}: Q/DQ stands between it and {node.name} ({node.op_type})")
    return found


def _in_scale(file: OnnxFile, node: Any) -> Iterator[str]:
    scale = file.constants.get(node.input[1])
    zero = file.constants.get(node.input[2]) if len(node.input) > 2 else None
    if scale is None or not (np.isfinite(scale) & (scale > 0)).all():
        yield f"{node.name}: its scale is no positive constant"
    if zero is None:
        yield f"{node.name}: its zero point is no constant"
    elif zero.dtype != np.int8:
        yield f"{node.name}: its integers are {zero.dtype}, not signed INT8"
    elif zero.any():
        yield f"{node.name}: its zero point is {zero[zero != 0].flat[0]}, not 0"
    if scale is not None and scale.size > 1 and file.constant_behind(node.input[0]) is None:
        yield f"{node.name}: an activation has a scale per channel, not one per tensor"


def _in_weighted(file: OnnxFile, node: Any) -> Iterator[str]:
    for index, what in enumerate(("activation", "weight")):
        if file.dequantizer(node.input[index]) is None:
            yield f"{node.name}: its {what} is not quantized"
    if len(node.input) > 2 and file.dequantizer(node.input[2]) is not None:
        yield f"{node.name}: its bias is quantized"
    if (weight := file.dequantizer(node.input[1])) is not None:
        yield from off_channels(file, node, weight)


def _behind_qdq(file: OnnxFile, node: Any) -> Any | None:
    """The convolution, linear layer or batch norm whose result `node` reads through Q and DQ."""
    for expected in ("DequantizeLinear", "QuantizeLinear"):
        node = file.producer.get(node.input[0])
        if node is None or node.op_type != expected:
            return None
    before = file.producer.get(node.input[0])
    fuses = before in file.weighted or (before is not None and before.op_type == "BatchNormalization")
    return before if fuses else None
