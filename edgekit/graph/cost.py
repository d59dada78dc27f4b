"""The static cost of a network, counted on its exported graph: MACs, parameters, memory access, memory held.

MACs and parameters follow the usual definitions (conv: weights · output positions; transposed conv: weights ·
input positions; linear: weights · tokens; matmul and attention: products of their operands). Memory access is
what ShuffleNet V2 (Ma et al. 2018) calls the memory access cost, in bytes: each operator reads its inputs and
weights once and writes its output once; for a 1×1 convolution hw(c1 + c2) + c1·c2 elements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import fx, nn

from edgekit.graph.memory import peak_activation_elements
from edgekit.graph.receptive_field import receptive_fields
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
        "select",
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
    for node, operator in operators(graph):
        if operator in FUSED | FREE or not hasattr(node.meta.get("val"), "shape"):
            continue
        weights = {name for value in node.all_input_nodes if (name := parameter_of(value)) in sizes}
        params = sum(sizes[name] for name in weights if name)
        moved = sum(math.prod(shape_of(value)) for value in node.all_input_nodes if not parameter_of(value))
        layers.append(
            Layer(
                name=layer_of(node),
                operator=_kind(node, operator),
                output_shape=shape_of(node),
                params=params,
                macs=_macs(node, operator),
                memory_access_bytes=(moved + math.prod(shape_of(node))) * activation_bytes
                + params * weight_bytes,
                receptive_field=fields[node].extent(input_shape),
            )
        )
    widest = [field.size for field in fields.values()]
    return Cost(
        input_shape=tuple(input_shape),
        params=sum(sizes.values()),
        macs=sum(layer.macs for layer in layers),
        memory_access_bytes=sum(layer.memory_access_bytes for layer in layers),
        peak_activation_bytes=peak_activation_elements(graph, FUSED | FREE) * activation_bytes,
        receptive_field=(max(size[0] for size in widest), max(size[1] for size in widest)),
        layers=tuple(layers),
    )


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


def _macs(node: fx.Node, operator: str) -> int:
    call = arguments(node)
    if operator in ("conv1d", "conv2d", "conv3d"):
        return math.prod(shape_of(call["weight"])) * math.prod(shape_of(node)[2:]) * shape_of(node)[0]
    if operator.startswith("conv_transpose"):
        return (
            math.prod(shape_of(call["weight"])) * math.prod(shape_of(call["input"])[2:]) * shape_of(node)[0]
        )
    if operator == "linear":
        return math.prod(shape_of(node)) * shape_of(call["input"])[-1]
    if operator in ("matmul", "bmm", "mm"):
        return math.prod(shape_of(node)) * shape_of(node.all_input_nodes[0])[-1]
    if operator == "scaled_dot_product_attention":
        query, key = shape_of(call["query"]), shape_of(call["key"])
        return math.prod(query) * key[-2] + math.prod(shape_of(node)) * key[-2]
    return 0
