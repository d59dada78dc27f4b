"""The exported ATen graph of a network: traced once, read by costs and channel labels."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import fx, nn

from edgekit.errors import InputError

Shape = tuple[int, ...]
WEIGHTED = ("conv1d", "conv2d", "conv3d", "conv_transpose2d", "linear")


def trace(module: nn.Module, input_shape: Shape) -> fx.GraphModule:
    """The graph that `torch.export` gives for an input (N, C, H, W), in eval mode; parameters keep their names.

    Raises `InputError` where the network cannot be exported, with the exporter's own words.
    """
    was_training = module.training
    parameter = next(module.parameters(), torch.empty(0))
    example = torch.zeros(input_shape, dtype=parameter.dtype, device=parameter.device)
    try:
        with torch.no_grad():
            graph = torch.export.export(module.eval(), (example,)).module()
    except (RuntimeError, TypeError, ValueError) as error:
        first = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        raise InputError(
            f"{type(module).__name__} cannot be exported at input {tuple(input_shape)}: {first}",
            hint="the network must take this input, without control flow that depends on values",
        ) from error
    finally:
        module.train(was_training)
    return graph


def operators(graph: fx.GraphModule) -> Iterator[tuple[fx.Node, str]]:
    """Every ATen call with its plain name: `hardtanh_` and `hardtanh` are the same operator here."""
    for node in graph.graph.nodes:
        if node.op == "call_function":
            packet = getattr(node.target, "overloadpacket", node.target)
            yield node, packet.__name__.rstrip("_")


def arguments(node: fx.Node) -> dict[str, Any]:
    """The call's arguments by name, defaults filled in from the operator's schema."""
    schema = getattr(node.target, "_schema", None)
    if schema is None:  # a plain Python function, as `operator.getitem` is
        return dict(node.kwargs)
    values = {argument.name: argument.default_value for argument in schema.arguments}
    values.update(
        {argument.name: value for argument, value in zip(schema.arguments, node.args, strict=False)}
    )
    return values | dict(node.kwargs)


def shape_of(node: fx.Node) -> Shape:
    """The shape of a node's (first) output."""
    value = node.meta["val"]
    value = value[0] if isinstance(value, tuple | list) else value
    return tuple(int(size) for size in value.shape)


def parameter_of(node: Any) -> str | None:
    """The full name of the parameter or buffer that a node reads, or None for an activation."""
    return str(node.target) if isinstance(node, fx.Node) and node.op == "get_attr" else None


def layer_of(node: fx.Node) -> str:
    """The path of the module that a call belongs to, in the network's own names."""
    if (weight := parameter_of(arguments(node).get("weight"))) is not None:
        return weight.removesuffix(".weight")
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    return str(stack[-1][0]) if stack else node.name
