"""An ONNX file that comes without a manifest, as an artifact: what can be run of it is read from the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from edgekit import files, optional
from edgekit.artifact import Artifact, ArtifactFolder, TensorSpec
from edgekit.errors import InputError
from edgekit.model import Preprocessing

LAYOUTS = {4: "NCHW", 2: "NC"}
FIXED = "export it with fixed sizes, float32 in and out, all in one file"


def artifact_of_file(path: Path) -> ArtifactFolder:
    """The file with its signature; a batch that it leaves open is 1. Nothing is known of pictures or labels.

    Raises `MissingError` without onnx, `InputError` for a file that is none, has several inputs, an input or output
    whose size is open, or weights in other files.
    """
    if path.suffix != ".onnx":
        raise InputError(
            f"{path} has no manifest beside it, and only an ONNX file can be run without",
            hint="give a run's folder, or its artifact/ folder",
        )
    graph = _graph(path)
    held = {tensor.name for tensor in graph.initializer}
    inputs = [_spec(path, value) for value in graph.input if value.name not in held]
    outputs = [_spec(path, value) for value in graph.output]
    if len(inputs) != 1 or inputs[0].layout != "NCHW":
        raise InputError(f"{path} does not take one input (N, C, H, W)", hint=FIXED)
    _, channels, height, width = inputs[0].shape
    quantized = any("Quantize" in node.op_type or "QLinear" in node.op_type for node in graph.node)
    return Artifact(
        model=path.stem,
        task="classification" if outputs[0].layout == "NC" else "segmentation",
        format="onnx",
        precision="int8" if quantized else "fp32",
        model_file=path.name,
        sha256={path.name: files.sha256(path)},
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        preprocessing=Preprocessing(
            height=height, width=width, mean=(0.0,) * channels, std=(1.0,) * channels
        ),
        labels=(),
    ).at(path.absolute().parent)


def _graph(path: Path) -> Any:
    onnx = optional.load("onnx", extra="onnx")
    decode_error = optional.load("google.protobuf.message", extra="onnx").DecodeError
    try:
        model = onnx.load(str(path), load_external_data=False)
        if any(tensor.data_location == onnx.TensorProto.EXTERNAL for tensor in model.graph.initializer):
            raise InputError(f"{path} keeps weights in another file", hint=FIXED)
        for value in model.graph.input:
            batch = value.type.tensor_type.shape.dim[:1]
            for size in batch:
                size.dim_value = size.dim_value or 1
        for value in model.graph.output:
            value.type.tensor_type.ClearField("shape")
        return onnx.shape_inference.infer_shapes(model, data_prop=True).graph
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, ValueError) as error:
        raise InputError(f"{path} cannot be read as ONNX: {str(error).splitlines()[0]}") from error
    except decode_error as error:
        raise InputError(f"{path} is not an ONNX file") from error


def _spec(path: Path, value: Any) -> TensorSpec:
    kind = value.type.tensor_type
    shape = tuple(size.dim_value for size in kind.shape.dim)
    if kind.elem_type != 1 or len(shape) not in LAYOUTS or not all(size > 0 for size in shape):
        raise InputError(
            f"{path}: {value.name} is no float32 tensor of two or four dimensions of a fixed size: "
            f"{list(shape)} (0: open)",
            hint=FIXED,
        )
    return TensorSpec(name=value.name, shape=shape, dtype="float32", layout=LAYOUTS[len(shape)])
