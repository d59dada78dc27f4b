"""What was asked for is what the file holds: activations' scales read back, islands of float named."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

import numpy as np

from edgekit.errors import EdgekitError
from edgekit.exporters.litert_counts import counts_of, float_operators
from edgekit.exporters.litert_names import node_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.exporters.litert_graph import Graph, Tensor
    from edgekit.model import ActivationScale


def verify_scales(graph: Graph, wanted: Mapping[str, ActivationScale]) -> None:
    """Raise `EdgekitError` that names the INT8 activations whose scale and zero point are not those `wanted`.

    `wanted` is by the tensor's name in the float file. What the quantizer brings from one scale to another
    for a single reader is a second tensor, with a scale that follows from the reader's output.
    """
    wrong = []
    for tensor in graph.activations:
        expected = wanted.get(tensor.name) or _of_float(graph, tensor, wanted)
        if tensor.dtype == "INT8" and expected is not None and not _equal(tensor, expected):
            wrong.append(f"{tensor.name}: {tensor.scales}, {tensor.zero_points}, not {expected}")
    if wrong:
        raise EdgekitError(f"the .tflite does not hold PyTorch's scales: {'; '.join(wrong)}")


def describe(graph: Graph) -> list[str]:
    """What a reader of the report should know of an INT8 file."""
    counted = counts_of(graph)
    weighted = counted.integer_operators + counted.float_operators
    floats = any(graph.tensors[index].dtype != "INT8" for index in (*graph.inputs, *graph.outputs))
    notes = [
        f"{counted.integer_operators} of {weighted} convolutions and linear layers are INT8",
        "input and output are float32, channel-last, behind QUANTIZE and DEQUANTIZE"
        if floats
        else "input and output are int8, channel-last, on the scales that the file tells of them; no tensor is float",
    ]
    if left := float_operators(graph):
        kinds = Counter(operator.kind for operator in left)
        named = ", ".join(f"{kind} ×{number}" for kind, number in sorted(kinds.items()))
        first = graph.tensors[left[0].outputs[0]].name
        notes.append(f"computed in float, as in PyTorch: {named}; the first is {first}")
    return notes


def _of_float(graph: Graph, tensor: Tensor, wanted: Mapping[str, ActivationScale]) -> ActivationScale | None:
    """What is computed or fed in float keeps its name; the integers behind it have a name with a suffix."""
    quantized = [
        operator.outputs[0]
        for operator in graph.operators
        if operator.kind == "QUANTIZE" and graph.tensors[operator.inputs[0]].dtype == "FLOAT32"
    ]
    return wanted.get(node_of(tensor.name)) if tensor.index in quantized else None


def _equal(tensor: Tensor, expected: ActivationScale) -> bool:
    same_scale = np.float32(tensor.scales[0]) == np.float32(expected.scale)
    return bool(same_scale) and tensor.zero_points == (expected.zero_point,)
