"""Which tensor of a .tflite file is which node of the PyTorch graph: found by value, not by name.

Both are run on the same random inputs. A tensor corresponds to the nodes whose sorted values equal its own:
layout changes, reshapes and transposes match by themselves, and what is fused away matches nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import fx

from edgekit.exporters.litert_graph import Graph, read_graph
from edgekit.exporters.litert_run import tensor_values

if TYPE_CHECKING:
    from edgekit.exporters.litert_graph import Array

Nodes = Mapping[int, Sequence[str]]
"""Tensor index → names of the nodes with its values, in the graph's order."""
_SAMPLES = 2  # one could agree by chance where a tensor is saturated or dead
_TOLERANCE = 1e-4  # of the tensor's largest value: float summation order differs between the two


class _Recorder(fx.Interpreter):
    """Runs a graph and keeps every node's tensor."""

    def __init__(self, graph: fx.GraphModule) -> None:
        super().__init__(graph)
        self.values: dict[str, Array] = {}

    def run_node(self, n: fx.Node) -> Any:
        result = super().run_node(n)
        if isinstance(result, torch.Tensor) and n.op != "get_attr":
            self.values[n.name] = result.numpy()
        return result


def node_values(graph: fx.GraphModule, batch: Array) -> dict[str, Array]:
    """Every node's value, by name, for one input (N, C, H, W) in float32."""
    recorder = _Recorder(graph)
    with torch.no_grad():
        recorder.run(torch.from_numpy(batch))
    return recorder.values


def match(graph: fx.GraphModule, content: bytes, input_shape: tuple[int, int, int, int]) -> Nodes:
    """For each activation of a float file the nodes with its values; maybe none."""
    generator = np.random.default_rng(0)
    batches = [generator.standard_normal(input_shape, dtype=np.float32) for _ in range(_SAMPLES)]
    nodes = [_sorted(node_values(graph, batch)) for batch in batches]
    tensors = [_sorted(values) for values in tensor_values(content, batches)]
    equal = {
        index: [name for name in nodes[0] if all(map(_agree, _each(tensors, index), _each(nodes, name)))]
        for index in tensors[0]
    }
    return _nearest(read_graph(content), graph, equal)


def _sorted(values: Mapping[Any, Array]) -> dict[Any, Array]:
    return {key: np.sort(value, axis=None) for key, value in values.items()}


def _each(runs: Sequence[Mapping[Any, Array]], key: object) -> list[Array]:
    return [run[key] for run in runs]


def _agree(value: Array, other: Array) -> bool:
    """Whether two tensors hold the same values; both are sorted."""
    if value.size != other.size:
        return False
    largest = max(abs(float(other[0])), abs(float(other[-1])))
    return float(np.abs(value - other).max()) <= _TOLERANCE * largest


def _nearest(tensors: Graph, graph: fx.GraphModule, equal: Nodes) -> Nodes:
    """Of several places with equal values, the first at or after those of the operator's inputs."""
    nodes = {node.name: (place, node) for place, node in enumerate(graph.graph.nodes)}
    found = {index: _chain(equal[index], nodes, 0) for index in tensors.inputs}
    for operator in tensors.operators:
        known = [found[tensor.index][0] for tensor in tensors.sources(operator) if found[tensor.index]]
        earliest = max((nodes[name][0] for name in known), default=0)
        for tensor in tensors.targets(operator):
            found[tensor.index] = _chain(equal[tensor.index], nodes, earliest)
    return found


def _chain(names: Sequence[str], nodes: Mapping[str, tuple[int, fx.Node]], earliest: int) -> tuple[str, ...]:
    """The first of `names` from `earliest` on, and those that got its values from it."""
    kept: list[str] = []
    for name in names:
        place, node = nodes[name]
        if place < earliest:
            continue
        if not kept or any(source.name in kept for source in node.all_input_nodes):
            kept.append(name)
    return tuple(kept)
