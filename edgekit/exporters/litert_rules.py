"""The rules of LiteRT's 8-bit quantization, checked on a .tflite by reading it, without an interpreter.

After "LiteRT 8-bit quantization specification": the ranges of integers, the axis of a weight's scales, the bias's
scale, and each operator's restrictions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from edgekit.exporters.litert_graph import WEIGHTED, Graph, Operator, Tensor, read_graph
from edgekit.exporters.litert_integers import float_parts, untaken_parts
from edgekit.exporters.litert_layers import layer_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.target import FileRules

TITLE = "LiteRT's 8-bit quantization"
_ONE_SCALE = (
    *(
        "AVERAGE_POOL_2D",
        "MAX_POOL_2D",
        "CONCATENATION",
        "RESHAPE",
        "RESIZE_BILINEAR",
        "RESIZE_NEAREST_NEIGHBOR",
    ),
    *(
        "SPACE_TO_DEPTH",
        "DEPTH_TO_SPACE",
        "SPLIT",
        "SPLIT_V",
        "SLICE",
        "STRIDED_SLICE",
        "SQUEEZE",
        "EXPAND_DIMS",
    ),
    *(
        "TRANSPOSE",
        "PAD",
        "PADV2",
        "MIRROR_PAD",
        "GATHER",
        "GATHER_ND",
        "PACK",
        "UNPACK",
        "MAXIMUM",
        "MINIMUM",
    ),
    *("SELECT", "SELECT_V2", "BROADCAST_TO"),
)
"""All inputs and outputs must have the same scale and zero point."""
_FIXED = {
    "LOGISTIC": (1 / 256, -128),
    "SOFTMAX": (1 / 256, -128),
    "TANH": (1 / 128, 0),
    "L2_NORMALIZATION": (1 / 128, 0),
    "LOG_SOFTMAX": (16 / 256, 127),
}
"""The scale and zero point of the output."""
_AXES = {"CONV_2D": 0, "DEPTHWISE_CONV_2D": 3, "FULLY_CONNECTED": 0, "TRANSPOSE_CONV": 0}
_BORDER = ("QUANTIZE", "DEQUANTIZE")
_LOWEST_WEIGHT = -127


def breaches(path: Path, rules: FileRules) -> list[str]:
    """Every rule that an INT8 .tflite breaks, with the operator that breaks it; empty where it meets all.

    An operator is named by its kind and the tensor that it gives. Raises `InputError` where the file is none.
    """
    graph = read_graph(path.read_bytes(), name=str(path))
    maker = {index: operator for operator in graph.operators for index in operator.outputs}
    found = [breach for tensor in graph.activations for breach in _in_activation(tensor)]
    for operator in graph.operators:
        name = f"{operator.kind} {graph.tensors[operator.outputs[0]].name}"
        meant = _is_float(graph, operator) and layer_of(graph, operator) in rules.float_layers
        broken = [
            *(() if meant else _in_types(graph, operator)),
            *_in_scales(graph, operator),
            *(_in_weight(graph, operator) if operator.kind in _AXES and not meant else ()),
            *_needless(graph, operator, maker),
        ]
        found.extend(f"{name}: {breach}" for breach in broken)
    if rules.integer_only:
        found.extend(float_parts(graph))
    found.extend(untaken_parts(graph, rules.operators))
    return found


def _in_activation(tensor: Tensor) -> Iterator[str]:
    if tensor.dtype != "INT8":
        return
    if len(tensor.scales) != 1 or len(tensor.zero_points) != 1:
        yield f"{tensor.name}: an activation has {len(tensor.scales)} scales, not one"
        return
    if not (np.isfinite(tensor.scales[0]) and tensor.scales[0] > 0):
        yield f"{tensor.name}: its scale is {tensor.scales[0]:g}"
    if not -128 <= tensor.zero_points[0] <= 127:
        yield f"{tensor.name}: its zero point is {tensor.zero_points[0]}, no int8"


def _is_float(graph: Graph, operator: Operator) -> bool:
    """Throughout: what it reads, its weights and what it gives."""
    return all(graph.tensors[index].dtype != "INT8" for index in (*operator.inputs, *operator.outputs))


def _in_types(graph: Graph, operator: Operator) -> Iterator[str]:
    """Integers and floats meet only where they are converted; weighted operators are integers throughout."""
    used = [*graph.sources(operator), *graph.targets(operator)]
    floats = [tensor.name for tensor in used if tensor.dtype != "INT8"]
    if operator.kind in _BORDER or not floats:
        return
    constant = operator.kind in WEIGHTED and len(graph.sources(operator)) == 1
    if constant or len(floats) < len(used):
        yield f"{floats[0]} is float" if constant else f"{floats[0]} is float beside integers"


def _in_scales(graph: Graph, operator: Operator) -> Iterator[str]:
    used = [each for each in (*graph.sources(operator), *graph.targets(operator)) if each.dtype == "INT8"]
    grids = {(np.float32(each.scales[0]), each.zero_points[0]) for each in used if len(each.scales) == 1}
    if operator.kind in _ONE_SCALE and len(grids) > 1:
        told = " and ".join(f"{scale:.6g}, {zero}" for scale, zero in sorted(grids))
        yield f"its inputs and outputs have several scales and zero points: {told}"
    if operator.kind in _FIXED and used:
        scale, zero = _FIXED[operator.kind]
        for tensor in graph.targets(operator):
            if tensor.scales and (np.float32(tensor.scales[0]), tensor.zero_points[0]) != (
                np.float32(scale),
                zero,
            ):
                yield f"its output has scale {tensor.scales[0]:.6g}, {tensor.zero_points[0]}, not {scale:.6g}, {zero}"


def _in_weight(graph: Graph, operator: Operator) -> Iterator[str]:
    tensors = [graph.tensors[index] for index in operator.inputs]
    (at_input, at_weight), weight = WEIGHTED[operator.kind], tensors[WEIGHTED[operator.kind][1]]
    if weight.data is None:
        return
    if weight.dtype != "INT8":
        yield f"its weight is {weight.dtype}, not INT8"
        return
    axis, channels = _AXES[operator.kind], weight.shape[_AXES[operator.kind]]
    if len(weight.scales) != channels:
        yield f"its weight has {len(weight.scales)} scales for {channels} output channels"
    elif weight.axis != axis and channels > 1:
        yield f"its weight's scales lie along axis {weight.axis}, not {axis}"
    if any(weight.zero_points):
        yield f"its weight's zero point is {next(zero for zero in weight.zero_points if zero)}, not 0"
    if int(weight.data.min()) < _LOWEST_WEIGHT:
        yield f"its weight holds {int(weight.data.min())}; integers are {_LOWEST_WEIGHT} to 127"
    if len(tensors) > 1 + max(at_input, at_weight):
        yield from _in_bias(tensors[1 + max(at_input, at_weight)], tensors[at_input], weight)


def _in_bias(bias: Tensor, activation: Tensor, weight: Tensor) -> Iterator[str]:
    if bias.dtype != "INT32":
        yield f"its bias is {bias.dtype}, not INT32"
    elif len(activation.scales) == 1:
        wanted = np.float32(activation.scales[0]) * np.asarray(weight.scales, np.float32)
        if len(bias.scales) != len(wanted) or not np.allclose(bias.scales, wanted, rtol=1e-5, atol=0):
            yield "its bias's scale is not that of its input times those of its weight"
        if any(bias.zero_points):
            yield f"its bias's zero point is {next(zero for zero in bias.zero_points if zero)}, not 0"


def _needless(graph: Graph, operator: Operator, maker: dict[int, Operator]) -> Iterator[str]:
    """QUANTIZE that undoes a DEQUANTIZE, or that brings integers to the scale that they have."""
    if operator.kind != "QUANTIZE":
        return
    source, target = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    before = maker.get(source.index)
    if before is not None and before.kind == "DEQUANTIZE":
        yield f"it reads what a DEQUANTIZE made of {graph.tensors[before.inputs[0]].name}"
    if source.dtype == target.dtype and (source.scales, source.zero_points) == (
        target.scales,
        target.zero_points,
    ):
        yield f"{source.name} has that scale and zero point already"
