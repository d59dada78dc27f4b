"""ONNX: the quantized PyTorch graph with explicit Q/DQ and int8 weights, or the float graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import files
from edgekit.artifact import TensorSpec
from edgekit.errors import EdgekitError
from edgekit.exporters import Written
from edgekit.exporters.onnx_graph import to_onnx
from edgekit.exporters.onnx_read import count, weights
from edgekit.exporters.tensorrt import add_engine_script, breaches
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.reference import quantized_graph

if TYPE_CHECKING:
    from edgekit.model import Model
    from edgekit.target import Target

__all__ = ["count", "export", "weights"]

MODEL_FILE = "model.onnx"
DEFAULT_OPSET = 19


def export(model: Model, target: Target, folder: Path) -> Written:
    """Write `model.onnx` at the target's opset, batch 1; for TensorRT also the script that builds the engine.

    Raises `MissingError` without onnx, `EdgekitError` where an INT8 file breaks TensorRT's rules.
    """
    graph = folded_graph(model) if model.quantization is None else quantized_graph(model)
    opset = target.opset or DEFAULT_OPSET
    proto = to_onnx(graph, (1, *model.input_shape[1:]), opset)
    files.write_bytes(folder / MODEL_FILE, proto.SerializeToString(deterministic=True))
    names, notes = [MODEL_FILE], [f"opset {opset}"]
    if target.runtime == "tensorrt":
        if model.quantization is not None and (broken := breaches(folder / MODEL_FILE, opset=opset)):
            raise EdgekitError(f"the ONNX file breaks TensorRT's rules: {'; '.join(broken[:3])}")
        names.append(add_engine_script(folder))
        notes.append("no engine was built: engines are built on the device, by build_engine.sh")
    return Written(model_file=MODEL_FILE, inputs=_specs(proto.graph.input), outputs=_specs(proto.graph.output),
                   files=tuple(names), notes=tuple(notes))


def _specs(values: object) -> tuple[TensorSpec, ...]:
    layouts = {4: "NCHW", 2: "NC"}
    shapes = [(value.name, tuple(int(size.dim_value) for size in value.type.tensor_type.shape.dim)) for value in values]  # type: ignore[attr-defined]
    return tuple(TensorSpec(name=name, shape=shape, dtype="float32", layout=layouts.get(len(shape), "?" * len(shape)))
                 for name, shape in shapes)
