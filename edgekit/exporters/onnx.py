"""ONNX: the quantized PyTorch graph with explicit Q/DQ and int8 weights, or the float graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit import files
from edgekit.artifact import TensorSpec
from edgekit.exporters import Written
from edgekit.exporters.onnx_graph import to_onnx
from edgekit.exporters.onnx_read import count, operators, weights
from edgekit.exporters.tensorrt_script import NO_ENGINE, write_script
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.reference import quantized_graph

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from onnx import ModelProto, ValueInfoProto

    from edgekit.exporters.layer_parity import LayerParity
    from edgekit.model import Model
    from edgekit.parity import Array
    from edgekit.target import Target

__all__ = ["count", "export", "operators", "tensor_parity", "weights"]

EXTRA, PACKAGES = "onnx", ("onnx", "onnxscript")
MODEL_FILE, HALF_FILE = "model.onnx", "model-fp16.onnx"
DEFAULT_OPSET = 19


def export(model: Model, target: Target, folder: Path) -> Written:
    """Write `model.onnx` at the target's opset.

    For TensorRT also the FP16 rival, `model-fp16.onnx`, and the script that builds both engines on the device.
    Raises `MissingError` without onnx.
    """
    proto = to_proto(model, _opset(target))
    _write(folder / MODEL_FILE, proto)
    written = Written(
        model_file=MODEL_FILE,
        inputs=tensor_specs(proto.graph.input),
        outputs=tensor_specs(proto.graph.output),
        files=(MODEL_FILE,),
        notes=(f"opset {_opset(target)}",),
    )
    return _for_tensorrt(model, target, folder, written, proto) if target.runtime == "tensorrt" else written


def to_proto(model: Model, opset: int) -> ModelProto:
    """The graph of `model.onnx`: integers as the target's rules want them stored."""
    graph = folded_graph(model) if model.quantization is None else quantized_graph(model)
    proto = to_onnx(graph, model.input_shape, opset)
    if model.quantization is not None and model.quantization.rules.unsigned_activations:
        from edgekit.exporters.onnx_rewrite import make_unsigned

        make_unsigned(proto)
    return proto


def tensor_parity(model: Model, path: Path, images: Array) -> list[LayerParity]:
    """Every integer tensor in ONNX Runtime against PyTorch's, for images (n, C, H, W) float32."""
    from edgekit.exporters import onnx_divergence

    return onnx_divergence.tensor_parity(model, path, images)


def _for_tensorrt(model: Model, target: Target, folder: Path, written: Written, proto: ModelProto) -> Written:
    from edgekit.exporters.onnx_rewrite import to_half

    full = proto
    if model.quantization is not None:
        full = to_onnx(folded_graph(model), model.input_shape, _opset(target))
    _write(folder / HALF_FILE, to_half(full))
    script = write_script(folder, precision=model.precision, sparse="2:4" in model.sparsity.values())
    return Written(
        model_file=written.model_file,
        inputs=written.inputs,
        outputs=written.outputs,
        files=written.files,
        companions=(HALF_FILE, script),
        notes=(*written.notes, f"{NO_ENGINE}: engines are built on the device, by {script}"),
    )


def _write(path: Path, proto: ModelProto) -> None:
    files.write_bytes(path, proto.SerializeToString(deterministic=True))


def _opset(target: Target) -> int:
    return target.opset or DEFAULT_OPSET


def tensor_specs(values: Iterable[ValueInfoProto]) -> tuple[TensorSpec, ...]:
    """The signature of a graph's inputs or outputs."""
    layouts = {4: "NCHW", 2: "NC"}
    shapes = {value.name: [size.dim_value for size in value.type.tensor_type.shape.dim] for value in values}
    return tuple(
        TensorSpec(
            name=name, shape=tuple(shape), dtype="float32", layout=layouts.get(len(shape), "?" * len(shape))
        )
        for name, shape in shapes.items()
    )
