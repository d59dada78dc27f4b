"""The static cost of a file: its operators as a graph of ATen's calls, counted as an exported network is."""

from __future__ import annotations

import operator
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from math import prod
from typing import Any

import torch
from torch import fx

from edgekit.graph.cost import Cost, counted
from edgekit.graph.file_graph import FileGraph, Operation, Value
from edgekit.graph.trace import operator_name
from edgekit.graph.traffic import FREE, FUSED

MOVEMENT = FREE | {"permute", "max_pool2d", "cat", "pad", "roll", "index", "shuffle"}
"""What comes out is what came in: integers stay integers, whatever the file calls them in between."""


def cost_of_file(file: FileGraph) -> Cost:
    """The cost of what a file holds, at the precisions that it stores and computes.

    Where a runtime computes Quantize in the operator before it, that operator writes integers, and where Dequantize is
    computed in the operator behind it, that one reads them. A batch norm that was folded counts as its bias alone.
    """
    built = _Builder(file)
    graph = built.build()
    sizes = {
        name: prod(file.values[name].shape) for name in sorted(file.parameters & built.attributes.keys())
    }
    shape = file.values[file.inputs[0]].shape
    return counted(
        graph,
        {built.attributes[name]: size for name, size in sizes.items()},
        shape,
        lambda node: node.meta["width"],
    )


@dataclass
class _Builder:
    """Makes the graph: `nodes` holds what each value of the file is in it."""

    file: FileGraph
    graph: fx.Graph = field(default_factory=fx.Graph)
    nodes: dict[str, fx.Node] = field(default_factory=dict)
    attributes: dict[str, str] = field(default_factory=dict)
    """Constant that an operator reads → its name in the graph: a weight is called after its layer."""

    def __post_init__(self) -> None:
        self.readers = Counter(name for step in self.file.operations for name in step.inputs)
        self.readers.update(self.file.outputs)

    def build(self) -> fx.GraphModule:
        for index, name in enumerate(self.file.inputs):
            self.nodes[name] = _valued(self.graph.placeholder(f"input_{index}"), self.file.values[name])
        for step in self.file.operations:
            if step.operator == "quantize" and self.readers[step.inputs[0]] == 1 and self._narrowed(step):
                continue
            if step.operator == "dequantize" and step.outputs[0] not in self.file.outputs:
                self.nodes[step.outputs[0]] = self.nodes[step.inputs[0]]
                continue
            self._call(step)
        self.graph.output(tuple(self.nodes[name] for name in self.file.outputs))
        return fx.GraphModule({name: torch.empty(0) for name in self.attributes.values()}, self.graph)

    def _narrowed(self, step: Operation) -> bool:
        """Let the operator that computes a value write it as the integers that it is quantized to."""
        node, width = self.nodes[step.inputs[0]], self.file.values[step.outputs[0]].width
        if node.op == "placeholder":
            return False
        self.nodes[step.outputs[0]] = node
        while node.op == "call_function":
            node.meta["width"] = width
            source = node.all_input_nodes[0]
            if operator_name(node) not in FREE | FUSED or self._read_again(source):
                break
            node = source
        return True

    def _read_again(self, node: fx.Node) -> bool:
        """Whether the file has other readers of a value than the one that is known, built yet or not."""
        held = (self.readers[name] for name, made in self.nodes.items() if made is node)
        return len(node.users) > 1 or any(times > 1 for times in held)

    def _call(self, step: Operation) -> None:
        if step.weight is not None and step.weight not in self.attributes:
            self.attributes[step.weight] = self._unused(f"{step.layer}.weight")
        places = [self._node(name) for name in step.inputs]
        named = dict(step.arguments)
        if step.weight is not None:
            named |= {"input": places[0], "weight": self._node(step.weight)}
        node = self.graph.call_function(_operator(step.operator), tuple(places), named)
        node.meta["nn_module_stack"] = {"": (step.layer, None)}
        outputs = [self.file.values[name] for name in step.outputs]
        if len(outputs) == 1:
            self.nodes[step.outputs[0]] = self._moved(_valued(node, outputs[0]))
            return
        _valued(node, outputs[0]).meta["val"] = [_tensor(value) for value in outputs]
        self._moved(node)
        for place, (name, value) in enumerate(zip(step.outputs, outputs, strict=True)):
            part = self.graph.call_function(operator.getitem, (node, place))
            self.nodes[name] = self._moved(_valued(part, value))

    def _node(self, name: str) -> fx.Node:
        if name not in self.nodes:
            attribute = self.attributes.setdefault(name, self._unused(name))
            node = self.graph.create_node("get_attr", attribute)
            self.nodes[name] = _valued(node, self.file.values[name])
        return self.nodes[name]

    def _unused(self, name: str) -> str:
        """The name as a path of attributes, none of them empty, that no other constant has."""
        path = ".".join(part for part in name.split(".") if part) or "constant"
        return path if path not in self.attributes.values() else f"constant_{len(self.attributes)}.{path}"

    @staticmethod
    def _moved(node: fx.Node) -> fx.Node:
        """Integers that are only moved stay integers where the file shows floats, between Dequantize and Quantize."""
        if operator_name(node) in MOVEMENT and node.all_input_nodes:
            widest = max(source.meta["width"] for source in node.all_input_nodes)
            node.meta["width"] = min(node.meta["width"], widest)
        return node


def _valued(node: fx.Node, value: Value) -> fx.Node:
    node.meta["val"] = _tensor(value)
    node.meta["width"] = value.width
    return node


def _tensor(value: Value) -> torch.Tensor:
    return torch.empty(value.shape, device="meta")


@cache
def _operator(name: str) -> Callable[..., Any]:
    """A stand-in that has ATen's name: it is counted, never called."""

    def stand_in(*_: Any) -> None:
        raise TypeError(f"{name} of a file is only counted")

    stand_in.__name__ = stand_in.__qualname__ = name
    return stand_in
