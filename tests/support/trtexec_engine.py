"""What the stand-in for trtexec makes of an ONNX file: layers as the engine inspector tells them, and real outputs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    import onnx

KINDS = {
    "int8": ("Int8", "i8i8_i8i32_f32"),
    "fp16": ("Half", "f16f16_f16f32"),
    "fp32": ("Float", "f32f32_f32"),
}
"""An engine's datatype, and how kernels are called that compute on it."""


class TrtError(Exception):
    """What trtexec says behind `[E]`, and exits with 1."""


def parsed(data: bytes) -> onnx.ModelProto:
    """A file that the ONNX checker passes."""
    import onnx

    model = onnx.load_from_string(data)
    onnx.checker.check_model(model, full_check=True)
    return model


def precision_of(model: onnx.ModelProto) -> str:
    """`int8`, `fp16` or `fp32`, by what the file holds."""
    import onnx

    if any(node.op_type == "QuantizeLinear" for node in model.graph.node):
        return "int8"
    halves = any(tensor.data_type == onnx.TensorProto.FLOAT16 for tensor in model.graph.initializer)
    return "fp16" if halves else "fp32"


def bindings(model: onnx.ModelProto) -> list[str]:
    """Inputs, then outputs."""
    return [value.name for value in (*model.graph.input, *model.graph.output)]


def engine_layers(model: onnx.ModelProto, version: str) -> Iterator[dict[str, Any]]:
    """A reformat, convolutions and products, in the form of either version."""
    kind, kernel = KINDS[precision_of(model)]
    wide = f"Thirty-two wide channel vectorized row major {kind} format."
    tensor = {"Name": "t", "Dimensions": [1], "Format/Datatype": wide if version.startswith("10.") else kind}
    plain = {**tensor, "Format/Datatype": "Float"}
    yield {
        "Name": "copy",
        "LayerType": "Reformat",
        "Inputs": [plain],
        "Outputs": [tensor],
        "TacticName": "0x3e8",
    }
    for node in model.graph.node:
        layer = {
            "Name": node.name,
            "Inputs": [tensor],
            "Outputs": [plain],
            "Metadata": f"[ONNX Layer: {node.name}]",
        }
        if node.op_type == "Conv":
            yield {
                **layer,
                "LayerType": "CaskConvolution",
                "ParameterType": "Convolution",
                "Weights": {"Type": kind, "Count": 9},
                "TacticName": f"sm80_xmma_fprop_{kernel}",
            }
        elif node.op_type in ("Gemm", "MatMul"):
            yield {**layer, "LayerType": "gemm", "TacticName": f"sm80_xmma_gemm_{kernel}_tn_n"}
        elif node.op_type == "Relu":
            yield {**layer, "LayerType": "kgen", "TacticName": "__myl_Relu_0xf5178047"}


def outputs(model: onnx.ModelProto, name: str, path: Path, *, spoilt: bool) -> str:
    """The outputs of ONNX Runtime for the input in a file, as C++ streams print them; spoilt: `nan`."""
    import numpy as np
    import onnxruntime

    (source,) = model.graph.input
    if name != source.name:
        raise TrtError(f"Cannot find input tensor with name {name} in the engine bindings!")
    shape = [size.dim_value for size in source.type.tensor_type.shape.dim]
    values = np.fromfile(path, dtype=np.float32)
    if values.size != np.prod(shape):
        raise TrtError(f"Unexpected file size for input file: {path}. Note: Input binding size is: {shape}")
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    (result,) = session.run(None, {name: values.reshape(shape)})
    numbers = ["nan" if spoilt else f"{value:.6g}" for value in result.ravel()]
    dimensions = "x".join(map(str, result.shape))
    return (
        f'[\n  {{ "name" : "{model.graph.output[0].name}"\n  , "dimensions" : "{dimensions}"\n'
        f'  , "values" : [ {", ".join(numbers)} ]\n  }}\n]\n'
    )
