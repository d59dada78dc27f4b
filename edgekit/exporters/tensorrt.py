"""TensorRT: the rules that a Q/DQ file must meet, and the script that builds the engine on the device.

Rules after NVIDIA's "Working with Quantized Types" (explicit quantization) for TensorRT 10 and 11.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import files
from edgekit.exporters.onnx_read import OnnxFile, read

if TYPE_CHECKING:
    from collections.abc import Iterator

SCRIPT = "build_engine.sh"
SOURCE = Path(__file__).with_name(SCRIPT)
ACTIVATIONS = ("Relu", "Clip", "LeakyRelu", "HardSwish", "HardSigmoid")


def breaches(path: Path, *, opset: int) -> list[str]:
    """Every rule that a quantized ONNX file breaks, with the operator that breaks it; empty where it meets all."""
    file = read(path)
    found = [f"opset {file.opset} is above {opset}"] if file.opset > opset else []
    for node in file.nodes:
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            found.extend(_scale_breaches(file, node))
    for node in file.weighted:
        found.extend(_weighted_breaches(file, node))
    return found


def add_engine_script(folder: Path) -> str:
    """Put `build_engine.sh` beside the model; gives its name."""
    files.write_bytes(folder / SCRIPT, SOURCE.read_bytes())
    (folder / SCRIPT).chmod(0o755)
    return SCRIPT


def _scale_breaches(file: OnnxFile, node: Any) -> Iterator[str]:
    scale = file.constants.get(node.input[1])
    zero = file.constants.get(node.input[2]) if len(node.input) > 2 else None
    if scale is None or not np.all(scale > 0) or not np.all(np.isfinite(scale)):
        yield f"{node.name}: the scale is no positive constant"
    if zero is None or zero.dtype != np.int8:
        yield f"{node.name}: not signed INT8"
    elif np.any(zero):
        yield f"{node.name}: zero point {int(zero.flat[0])}, only 0 is taken"
    if scale is not None and scale.size > 1 and file.constant_behind(node.input[0]) is None:
        yield f"{node.name}: an activation is quantized per channel, only per tensor is taken"


def _weighted_breaches(file: OnnxFile, node: Any) -> Iterator[str]:
    for place, what in ((0, "activation"), (1, "weight")):
        if file.dequantizer(node.input[place]) is None:
            yield f"{node.name}: its {what} is not quantized"
    weight = file.dequantizer(node.input[1])
    if weight is not None:
        axis = next((entry.i for entry in weight.attribute if entry.name == "axis"), 1)
        if file.constants[weight.input[1]].size > 1 and axis != (1 if node.op_type == "ConvTranspose" else 0):
            yield f"{node.name}: its weight is quantized along axis {axis}, not along output channels"
    if len(node.input) > 2 and file.dequantizer(node.input[2]) is not None:
        yield f"{node.name}: its bias is quantized"
    readers = file.readers.get(node.output[0], [])
    if any(reader.op_type == "QuantizeLinear" for reader in readers) and any(reader.op_type in ACTIVATIONS for reader in readers):
        yield f"{node.name}: Q/DQ stands between it and its activation"
