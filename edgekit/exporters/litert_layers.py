"""The weights of a .tflite by layer, as PyTorch shapes them: to read back what a stage promised of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.litert_graph import WEIGHTED, read_graph
from edgekit.exporters.litert_names import node_of
from edgekit.operators import FileOperator

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.exporters.litert_graph import Array, Graph, Operator

_WEIGHT = ".weight"


def layer_weights(path: Path) -> dict[str, Array]:
    """Every named layer's weights: (O, I / groups, H, W) or (O, I), int8 or float32 as the file stores them.

    Transposed convolutions have their output channels first too.
    """
    graph, found = read_graph(path.read_bytes(), name=str(path)), {}
    for operator in graph.operators:
        if operator.kind not in WEIGHTED:
            continue
        tensor = graph.tensors[operator.inputs[WEIGHTED[operator.kind][1]]]
        if tensor.data is not None and tensor.name.endswith(_WEIGHT):
            found[tensor.name.removesuffix(_WEIGHT)] = _as_in_torch(tensor.data, operator.kind)
    return found


def layer_operators(path: Path) -> tuple[FileOperator, ...]:
    """All operators in their order, named after the PyTorch nodes that they compute."""
    graph = read_graph(path.read_bytes(), name=str(path))
    return tuple(
        FileOperator(
            name=node_of(graph.tensors[operator.outputs[0]].name),
            kind=operator.kind,
            inputs=tuple(graph.tensors[index].name for index in operator.inputs),
            outputs=tuple(graph.tensors[index].name for index in operator.outputs),
            layer=layer_of(graph, operator),
        )
        for operator in graph.operators
    )


def layer_of(graph: Graph, operator: Operator) -> str:
    """The layer whose weights an operator holds; empty where it holds none."""
    if operator.kind not in WEIGHTED:
        return ""
    weights = graph.tensors[operator.inputs[WEIGHTED[operator.kind][1]]]
    return weights.name.removesuffix(_WEIGHT) if weights.data is not None else ""


def _as_in_torch(weight: Array, kind: str) -> Array:
    if weight.ndim != 4:
        return weight
    return weight.transpose(3, 0, 1, 2) if kind == "DEPTHWISE_CONV_2D" else weight.transpose(0, 3, 1, 2)
