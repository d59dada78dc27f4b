"""Reading and changing an exported ATen graph."""

from __future__ import annotations

import torch
from torch import fx, nn


def packet(node: fx.Node) -> object:
    """The operator without its overload: `aten.conv2d` for both `.default` and `.padding`."""
    return getattr(node.target, "overloadpacket", node.target)


def operand(node: fx.Node, index: int) -> fx.Node:
    """The node that is an operator's positional argument."""
    argument = node.args[index]
    assert isinstance(argument, fx.Node)
    return argument


def tensor_of(graph: fx.GraphModule, node: fx.Node) -> torch.Tensor:
    """The parameter or buffer that a `get_attr` node reads."""
    owner, _, name = str(node.target).rpartition(".")
    tensor = getattr(graph.get_submodule(owner), name)
    assert isinstance(tensor, torch.Tensor)
    return tensor


def set_tensor(graph: fx.GraphModule, name: str, value: torch.Tensor) -> None:
    """Make `name` this parameter, or a buffer where it is none, in place of whatever had the name."""
    owner, _, leaf = name.rpartition(".")
    layer = graph.get_submodule(owner)
    if hasattr(layer, leaf):
        delattr(layer, leaf)
    if isinstance(value, nn.Parameter):
        layer.register_parameter(leaf, value)
    else:
        layer.register_buffer(leaf, value)


def rename_tensor(graph: fx.GraphModule, node: fx.Node, name: str) -> None:
    """Make a `get_attr` node read its tensor under another name."""
    value, old = tensor_of(graph, node), str(node.target)
    node.target = name
    set_tensor(graph, name, value)
    if all(other.target != old for other in graph.graph.nodes if other.op == "get_attr"):
        owner, _, leaf = old.rpartition(".")
        delattr(graph.get_submodule(owner), leaf)
