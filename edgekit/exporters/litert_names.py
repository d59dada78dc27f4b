"""Tensors of a .tflite named after the PyTorch graph: nodes for activations, parameters for weights.

The converter's own names hold module paths and running numbers. These depend on the network alone, and any
later reader finds the way back by them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.exporters.litert_graph import WEIGHTED, Graph, Operator, layouts, pack, read_graph, unpack

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from torch import fx

    from edgekit.exporters.litert_graph import Array
    from edgekit.exporters.litert_match import Nodes

_QUANTIZED, _DEQUANTIZED = "_quantized", "_dequant"  # what ai-edge-quantizer appends


def rename(content: bytes, graph: fx.GraphModule, nodes: Nodes, preferred: Collection[str]) -> bytes:
    """The same network with new names: of a tensor's nodes the first that is `preferred`, else the first."""
    model, tensors, names = unpack(content), read_graph(content), _Names()
    parameters = _parameters(graph)
    for index in tensors.inputs:
        names.give(index, next(iter(nodes[index]), "input"))
    for operator in tensors.operators:
        beside = next((names.of[tensor.index] for tensor in tensors.sources(operator)), "constant")
        for tensor in tensors.targets(operator):
            same = [*(name for name in nodes[tensor.index] if name in preferred), *nodes[tensor.index]]
            names.give(
                tensor.index, same[0] if same else f"{beside.partition('.')[0]}.{operator.kind.lower()}"
            )
        for place, index in enumerate(operator.inputs):
            names.give(index, _constant(tensors, operator, place, names, parameters))
    for index, tensor in enumerate(model.subgraphs[0].tensors):
        tensor.name = names.of.get(index, f"unused.{index}").encode()
    return pack(model)


def node_of(name: str) -> str:
    """The PyTorch node of a tensor in a file that was renamed and perhaps quantized."""
    return name.removesuffix(_QUANTIZED).removesuffix(_DEQUANTIZED)


class _Names:
    """Names by tensor index, each given once."""

    def __init__(self) -> None:
        self.of: dict[int, str] = {}
        self._taken: set[str] = set()

    def give(self, index: int, name: str) -> None:
        """Name a tensor that has no name yet; a number makes it the only one."""
        if index in self.of:
            return
        unique, count = name, 1
        while unique in self._taken:
            count += 1
            unique = f"{name}.{count}"
        self._taken.add(unique)
        self.of[index] = unique


def _constant(
    tensors: Graph, operator: Operator, place: int, names: _Names, parameters: Mapping[bytes, str]
) -> str:
    output = names.of.get(operator.outputs[0], operator.kind.lower())
    value = tensors.tensors[operator.inputs[place]].data
    if operator.kind not in WEIGHTED or value is None:
        return f"{output}.input{place}"
    if place != WEIGHTED[operator.kind][1]:
        return f"{output}.bias"
    return parameters.get(_bytes(value), f"{output}.weight")


def _parameters(graph: fx.GraphModule) -> dict[bytes, str]:
    """Every weight, in each way that LiteRT may store it, by its bytes."""
    found: dict[bytes, str] = {}
    for name, tensor in (*graph.named_parameters(), *graph.named_buffers()):
        weight = tensor.detach().numpy()
        if weight.ndim > 1:
            for stored in (*layouts(weight), *layouts(weight.swapaxes(0, 1))):  # the latter where transposed
                found.setdefault(_bytes(stored), name)
    return found


def _bytes(value: Array) -> bytes:
    """With one zero: a file that leaves zeros out cannot keep their signs."""
    same: Array = value + value.dtype.type(0)
    return same.tobytes()
