"""Copies of an exported graph: with the sizes of a smaller network, and in double precision."""

from __future__ import annotations

from typing import Any

import torch
from torch import fx, nn
from torch.fx.node import map_aggregate

from edgekit.graph.labels import Walk
from edgekit.graph.refit import set_tensor, tensor_of
from edgekit.graph.trace import CHECKS, operator_name


def copied(graph: fx.GraphModule, tensors: nn.Module) -> fx.GraphModule:
    """A traced network without the exporter's checks, with copies of the parameters and buffers of `tensors`."""
    made = fx.Graph()
    copies: dict[fx.Node, fx.Node] = {}
    for node in graph.graph.nodes:
        if node.op != "call_module" and operator_name(node) not in CHECKS:
            copies[node] = made.node_copy(node, copies.__getitem__)
    made.set_codegen(graph.graph._codegen)
    module = fx.GraphModule(graph, made)
    held = {name for name, _ in (*tensors.named_parameters(), *tensors.named_buffers())}
    for name in {str(node.target) for node in made.find_nodes(op="get_attr")}:
        owner = tensors if name in held else graph  # constants of the forward are the graph's own
        set_tensor(module, name, tensor_of(owner, name).clone())
    return module


def in_double(graph: fx.GraphModule, tensors: nn.Module) -> fx.GraphModule:
    """A copy that computes in float64 throughout, on the CPU."""
    made = copied(graph, tensors)
    for node in made.graph.nodes:
        node.args, node.kwargs = map_aggregate(node.args, _wider), map_aggregate(node.kwargs, _wider)
    made.recompile()
    for name in {str(node.target) for node in made.graph.find_nodes(op="get_attr")}:
        value = tensor_of(made, name).cpu()  # of a copy already
        set_tensor(made, name, value.double() if value.is_floating_point() else value)
    return made


def _wider(argument: Any) -> Any:
    return torch.float64 if argument is torch.float32 else argument


def rewritten(graph: fx.GraphModule, walk: Walk) -> None:
    """Give a copy of a traced network, in place, the arguments that a walk with fewer channels found for it."""
    absent = {node.name for node, value in walk.values.items() if value is None}
    nodes = {node.name: node for node in graph.graph.nodes}
    for name, arguments in walk.resized.items():
        for argument, value in arguments.items():
            _set(nodes[name], argument, fx.map_arg(value, lambda node: nodes[node.name]))
    for node in reversed(graph.graph.nodes):
        if node.name in absent and not node.users:
            graph.graph.erase_node(node)
    graph.recompile()


def _set(node: fx.Node, argument: str, value: Any) -> None:
    """Set an argument of an ATen call by its name."""
    for place, known in enumerate(node.target._schema.arguments):  # type: ignore[union-attr]
        if known.name == argument:
            if place < len(node.args):
                node.update_arg(place, value)
            else:
                node.update_kwarg(argument, value)
