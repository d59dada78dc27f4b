"""The inputs and outputs of a .tflite with what a phone's code must know of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.bundle.manifest import Quantized, Signature
from edgekit.errors import InputError
from edgekit.exporters.litert_graph import read_graph

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.artifact import TensorSpec
    from edgekit.exporters.litert_graph import Graph, Tensor

LAYOUTS = ("NHWC", "NC")
FED = "float32"
"""What the generated code feeds and reads, and what edgekit's files take and give, INT8 ones too."""


def signatures(
    content: bytes, inputs: Sequence[TensorSpec], outputs: Sequence[TensorSpec], *, name: str
) -> tuple[tuple[Signature, ...], tuple[Signature, ...]]:
    """Inputs and outputs as the manifest of an artifact tells them, with their quantization.

    Raises `InputError` where there is more than one of either, a size is dynamic, the file takes several pictures
    at once, or a type is none that the code feeds.
    """
    graph = read_graph(content, name=name)
    if not len(graph.inputs) == len(graph.outputs) == len(inputs) == len(outputs) == 1:
        raise InputError(
            f"{name} has {len(graph.inputs)} inputs and {len(graph.outputs)} outputs, and its manifest tells "
            f"{len(inputs)} and {len(outputs)}",
            hint="a bundle takes one picture and gives one answer",
        )
    _refuse_dynamic(graph, name)
    for spec in (*inputs, *outputs):
        if spec.layout not in LAYOUTS:
            raise InputError(
                f"{name}: {spec.name} {list(spec.shape)} has the layout {spec.layout}",
                hint=f"a bundle's code knows {' and '.join(LAYOUTS)}",
            )
        if len(spec.shape) != len(spec.layout) or min(spec.shape) < 1:
            raise InputError(
                f"{name}: {spec.name} {list(spec.shape)} is not {spec.layout}", hint="export it again"
            )
        if spec.dtype != FED:
            raise InputError(
                f"{name}: {spec.name} is {spec.dtype}",
                hint=f"a bundle's code feeds {FED}: make the file for a phone's target",
            )
        if spec.shape[0] != 1:
            raise InputError(
                f"{name} takes {spec.shape[0]} pictures at once",
                hint="a camera gives one: make the file with --batch 1",
            )
    return (
        tuple(_signature(spec, graph, graph.inputs[0], name) for spec in inputs),
        tuple(_signature(spec, graph, graph.outputs[0], name) for spec in outputs),
    )


def _refuse_dynamic(graph: Graph, name: str) -> None:
    for index in (*graph.inputs, *graph.outputs):
        tensor = graph.tensors[index]
        if tensor.signature is not None and min(tensor.signature, default=1) < 0:
            raise InputError(
                f"{name} has dynamic sizes: {tensor.name} is {list(tensor.signature)}",
                hint="export it for one size: nothing could be known of its answers otherwise",
            )


def _signature(spec: TensorSpec, graph: Graph, index: int, name: str) -> Signature:
    tensor = graph.tensors[index]
    if (tensor.shape, tensor.dtype.lower()) != (spec.shape, spec.dtype):
        raise InputError(
            f"{name}: {tensor.name} is {tensor.dtype.lower()} {list(tensor.shape)}, and its manifest tells "
            f"{spec.dtype} {list(spec.shape)}",
            hint="export it again",
        )
    return Signature(
        name=spec.name,
        shape=spec.shape,
        dtype=spec.dtype,
        layout=spec.layout,
        quantization=_quantized(graph, tensor),
    )


def _quantized(graph: Graph, tensor: Tensor) -> Quantized | None:
    for operator in graph.operators:
        ends = (operator.inputs, operator.outputs)
        if operator.kind in ("QUANTIZE", "DEQUANTIZE") and any(tensor.index in end for end in ends):
            inner = [graph.tensors[place] for end in ends for place in end if graph.tensors[place].scales]
            if inner and inner[0].zero_points:
                return Quantized(scale=inner[0].scales[0], zero_point=inner[0].zero_points[0])
    return None
