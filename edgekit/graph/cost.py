"""The static cost of a network, counted on its exported graph: MACs, parameters, memory access, memory held.

MACs and parameters follow the usual definitions (conv: weights · output positions; transposed conv: weights ·
input positions; linear: weights · tokens; matmul, einsum and attention: products of their operands). Memory access is
what ShuffleNet V2 (Ma et al. 2018) calls the memory access cost, in bytes: each operator reads its inputs and
weights once and writes its output once; for a 1×1 convolution hw(c1 + c2) + c1·c2 elements.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

from torch import fx, nn

from edgekit.graph.macs import multiply_accumulates
from edgekit.graph.memory import peak_activation_elements
from edgekit.graph.receptive_field import NOTHING, receptive_fields
from edgekit.graph.trace import Shape, arguments, layer_of, operators, parameter_of, shape_of, trace

FUSED = frozenset(
    (
        "batch_norm",
        "relu",
        "relu6",
        "hardtanh",
        "hardswish",
        "hardsigmoid",
        "sigmoid",
        "silu",
        "gelu",
        "leaky_relu",
        "clamp",
    )
)
"""Runtimes fold or fuse these into the operator before them: they move no memory of their own."""
FREE = frozenset(
    (
        "view",
        "reshape",
        "_unsafe_view",
        "flatten",
        "unflatten",
        "unsqueeze",
        "squeeze",
        "expand",
        "dropout",
        "alias",
        "detach",
        "getitem",
        "contiguous",
        "clone",
        "chunk",
        "split",
        "split_with_sizes",
        "slice",
        "narrow",
        "select",
        "unbind",
    )
)
"""Views: nothing is moved."""


@dataclass(frozen=True)
class Layer:
    """One operator that computes or moves something; `name` is the module's own path."""

    name: str
    operator: str
    output_shape: Shape
    params: int
    macs: int
    memory_access_bytes: int
    receptive_field: tuple[int, int]
    """Input pixels (height, width) that one output sees; the whole input after a global pooling."""


@dataclass(frozen=True)
class Cost:
    """The static cost of a network at one input shape (N, C, H, W)."""

    input_shape: Shape
    params: int
    macs: int
    memory_access_bytes: int
    peak_activation_bytes: int
    receptive_field: tuple[int, int]
    """The widest (height, width) through windows alone: global poolings, and gates made of them, see all of it."""
    layers: tuple[Layer, ...]


def cost(module: nn.Module, input_shape: Shape, *, weight_bytes: int = 4, activation_bytes: int = 4) -> Cost:
    """Count a network at an input (N, C, H, W); widths are bytes per element (1 for INT8).

    Raises `InputError` where the network cannot be exported at this shape.
    """
    return cost_of_graph(
        trace(module, input_shape),
        module,
        input_shape,
        weight_bytes=weight_bytes,
        activation_bytes=activation_bytes,
    )


def cost_of_graph(
    graph: fx.GraphModule,
    module: nn.Module,
    input_shape: Shape,
    *,
    weight_bytes: int = 4,
    activation_bytes: int = 4,
) -> Cost:
    """`cost` for a graph that was traced already."""
    fields = receptive_fields(graph)
    sizes = {name: value.numel() for name, value in module.named_parameters()}
    layers = []
    for node, operator, macs in counted(graph):
        weights = {parameter_of(value) for value in node.all_input_nodes}
        params = sum(sizes[name] for name in weights if name in sizes)
        layers.append(
            Layer(
                name=layer_of(node),
                operator=_kind(node, operator),
                output_shape=shape_of(node),
                params=params,
                macs=macs,
                memory_access_bytes=_moved(node) * activation_bytes + params * weight_bytes,
                receptive_field=fields.get(node, NOTHING).extent(input_shape),
            )
        )
    rows, columns = zip(*(field.size for field in fields.values()), strict=True)
    return Cost(
        input_shape=tuple(input_shape),
        params=sum(sizes.values()),
        macs=sum(layer.macs for layer in layers),
        memory_access_bytes=sum(layer.memory_access_bytes for layer in layers),
        peak_activation_bytes=peak_activation_elements(graph, FREE, FUSED) * activation_bytes,
        receptive_field=(max(rows), max(columns)),
        layers=tuple(layers),
    )


def counted(graph: fx.GraphModule) -> Iterator[tuple[fx.Node, str, int]]:
    """The calls that compute or move something, with their multiply-accumulates."""
    for node, operator in operators(graph):
        if operator in FUSED | FREE:
            continue
        macs = multiply_accumulates(node, operator)
        if macs or hasattr(node.meta.get("val"), "shape"):  # else a number, or views of what there is
            yield node, operator, macs


def _moved(node: fx.Node) -> int:
    """The elements that a call reads and writes, but for its weights."""
    read = sum(math.prod(shape_of(value)) for value in node.all_input_nodes if not parameter_of(value))
    return read + math.prod(shape_of(node))


def _kind(node: fx.Node, operator: str) -> str:
    """`conv2d` split into what runtimes treat differently: pointwise, depthwise, grouped."""
    if operator != "conv2d":
        return operator
    call = arguments(node)
    weight = shape_of(call["weight"])
    if call["groups"] == shape_of(call["input"])[1] and call["groups"] > 1:
        return f"depthwise {weight[2]}x{weight[3]}"
    prefix = "grouped " if call["groups"] > 1 else ""
    return f"{prefix}conv {weight[2]}x{weight[3]}"
