"""The exported ATen graph of a network: traced once, read by costs and channel labels."""

from __future__ import annotations

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr
from typing import Any

import torch
from torch import fx, nn

from edgekit.errors import InputError
from edgekit.user_code import described

Shape = tuple[int, ...]
_TALKATIVE = ("torch.fx.experimental.symbolic_shapes", "torch.export")
CHECKS = ("_assert_tensor_metadata", "_assert_async", "_assert_scalar")
"""The exporter's own checks of types and values: they compute nothing, and hold for one network only."""
WEIGHTED = ("conv1d", "conv2d", "conv3d", "conv_transpose2d", "linear")


def trace(module: nn.Module, *input_shapes: Shape) -> fx.GraphModule:
    """The graph that `torch.export` gives for inputs (N, C, H, W), in eval mode; parameters keep their names.

    Raises `InputError` where the network cannot be exported, with the exporter's own words and the line of the
    network's code that it stopped at.
    """
    was_training = module.training
    parameter = next(module.parameters(), torch.empty(0))
    examples = tuple(
        torch.zeros(shape, dtype=parameter.dtype, device=parameter.device) for shape in input_shapes
    )
    try:
        with torch.no_grad(), unprinted():
            graph = _named_once(torch.export.export(module.eval(), examples).module(), module)
    except Exception as error:  # torch.export runs the user's own code
        sizes = ", ".join(map(str, input_shapes))
        raise InputError(
            f"{type(module).__name__} cannot be exported at input {sizes}: {described(error)}",
            hint="the network must take this input, without control flow that depends on values",
        ) from error
    finally:
        module.train(was_training)
    return graph


@contextmanager
def unprinted() -> Iterator[None]:
    """Where `torch.export` fails it prints the graph so far, and logs advice: the error alone is for the user."""
    loggers = [(logger, logger.level) for logger in map(logging.getLogger, _TALKATIVE)]
    try:
        for logger, _ in loggers:
            logger.setLevel(logging.CRITICAL)
        with redirect_stderr(io.StringIO()):
            yield
    finally:
        for logger, level in loggers:
            logger.setLevel(level)


def first_names(module: nn.Module) -> dict[str, str]:
    """Each parameter's and buffer's full name → the first name under which the module holds that tensor."""
    first: dict[int, str] = {}
    parameters = module.named_parameters(remove_duplicate=False)
    every = (*parameters, *module.named_buffers(remove_duplicate=False))
    return {name: first.setdefault(id(value), name) for name, value in every}


def _named_once(graph: fx.GraphModule, module: nn.Module) -> fx.GraphModule:
    """The graph with one name for a tensor that the network holds under several."""
    names = first_names(module)
    for node in graph.graph.find_nodes(op="get_attr"):
        node.target = names.get(node.target, node.target)
    graph.recompile()
    return graph


def operators(graph: fx.GraphModule) -> Iterator[tuple[fx.Node, str]]:
    """Every ATen call with its plain name: `hardtanh_` and `hardtanh` are the same operator here."""
    for node in graph.graph.nodes:
        if node.op == "call_function" and (name := operator_name(node)) not in CHECKS:
            yield node, name


def operator_name(node: fx.Node) -> str:
    """The plain name of an ATen call."""
    packet = getattr(node.target, "overloadpacket", node.target)
    return str(getattr(packet, "__name__", packet)).rstrip("_")


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
    return str(stack[-1][0]) or node.name if stack else node.name
