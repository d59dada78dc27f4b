"""The layers of a graph: the operators that compute or move something, with what each costs and reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from torch import fx

from edgekit.graph.macs import multiply_accumulates
from edgekit.graph.receptive_field import NOTHING, Field
from edgekit.graph.trace import Shape, arguments, layer_of, operators, parameter_of, shape_of
from edgekit.graph.traffic import (
    ACTIVATIONS,
    ELEMENTWISE,
    FREE,
    FUSED,
    Width,
    elements,
    is_tensor,
    read_bytes,
    written_bytes,
)

PRECISIONS = {1: "int8", 2: "fp16", 4: "fp32"}
"""Bytes per element → what a layer computes in."""


@dataclass(frozen=True)
class Weights:
    """What a convolution or linear layer joins, and how."""

    input_channels: int
    output_channels: int
    groups: int = 1
    kernel: Shape = (1, 1)
    stride: Shape = (1, 1)
    dilation: Shape = (1, 1)

    @property
    def is_depthwise(self) -> bool:
        """Whether each group has one channel to read."""
        return 1 < self.groups == self.input_channels

    @property
    def is_pointwise(self) -> bool:
        """Whether it reads one pixel alone."""
        return set(self.kernel) == {1}


@dataclass(frozen=True)
class Layer:
    """One operator that computes or moves something; `name` is the module's own path."""

    name: str
    operator: str
    output_shape: Shape
    params: int
    macs: int
    elementwise_operations: int
    """Elements that it computes one by one, with the activations that runtimes fuse into it."""
    memory_access_bytes: int
    """`read_bytes`, `weight_bytes` and `written_bytes` together."""
    read_bytes: int
    weight_bytes: int
    written_bytes: int
    macs_per_byte: float
    """Arithmetic intensity."""
    precision: str
    """`int8` where activations and weights are, else `fp16` or `fp32`, by the wider of both."""
    live_bytes: int
    """The activations that are alive while it runs, its results among them."""
    receptive_field: tuple[int, int]
    """Input pixels (height, width) that one output sees; the whole input after a global pooling."""
    after: tuple[int, ...]
    """Places among the layers of those whose results it reads."""
    weights: Weights | None
    """None where it has none."""


def computes(node: fx.Node, operator: str) -> bool:
    """Whether a call computes or moves something: else it is fused into another, a view, or a number."""
    return operator not in FUSED | FREE and (is_tensor(node) or multiply_accumulates(node, operator) > 0)


@dataclass(frozen=True)
class Counter:
    """What is known of a graph when its layers are counted."""

    sizes: Mapping[str, int]
    """The parameters' elements."""
    input_shape: Shape
    width: Width
    live: Mapping[fx.Node, int]
    """The bytes that are alive at each call."""
    fields: Mapping[fx.Node, Field]
    """What each call sees of the input."""

    def layers(self, graph: fx.GraphModule) -> tuple[Layer, ...]:
        """The layers in the graph's order."""
        layers: list[Layer] = []
        origins: dict[fx.Node, tuple[int, ...]] = {}
        for node, operator in operators(graph):
            after = tuple(
                sorted({place for value in node.all_input_nodes for place in origins.get(value, ())})
            )
            if not computes(node, operator):
                origins[node] = after  # a view, a number, or fused
                if operator in ACTIVATIONS and after:
                    last = layers[after[-1]]
                    more = last.elementwise_operations + elements(node)
                    layers[after[-1]] = replace(last, elementwise_operations=more)
                continue
            origins[node] = (len(layers),)
            extent = self.fields.get(node, NOTHING).extent(self.input_shape)
            layers.append(replace(self._layer(node, operator), receptive_field=extent, after=after))
        return tuple(layers)

    def _layer(self, node: fx.Node, operator: str) -> Layer:
        """By itself, without its place among the others."""
        macs = multiply_accumulates(node, operator)
        weights = {
            name: value
            for value in node.all_input_nodes
            if (name := parameter_of(value)) and name in self.sizes
        }
        weight_bytes = sum(self.sizes[name] * self.width(value) for name, value in weights.items())
        read, written = read_bytes(node, self.width), written_bytes(node, self.width)
        moved = read + weight_bytes + written
        shape = _weights(node, operator)
        return Layer(
            name=layer_of(node),
            operator=_kind(operator, shape),
            output_shape=shape_of(node),
            params=sum(self.sizes[name] for name in weights),
            macs=macs,
            elementwise_operations=elements(node) if operator in ELEMENTWISE else 0,
            memory_access_bytes=moved,
            read_bytes=read,
            weight_bytes=weight_bytes,
            written_bytes=written,
            macs_per_byte=macs / moved if moved else 0.0,
            precision=_precision(node, self.width),
            live_bytes=self.live[node],
            receptive_field=(1, 1),
            after=(),
            weights=shape,
        )


def _precision(node: fx.Node, width: Width) -> str:
    """By the wider of the input and the weight: integers beside floats are made floats first."""
    weight = arguments(node).get("weight")
    activations = [value for value in node.all_input_nodes if not parameter_of(value)]
    read = [*activations[:1], *([weight] if isinstance(weight, fx.Node) else [])] or [node]
    return PRECISIONS.get(max(width(value) for value in read), "fp32")


def _weights(node: fx.Node, operator: str) -> Weights | None:
    call = arguments(node)
    if not isinstance(weight := call.get("weight"), fx.Node):
        return None
    shape = shape_of(weight)
    if operator == "linear":
        return Weights(shape[-1], shape[0])
    if operator not in ("conv2d", "conv_transpose2d"):
        return None
    groups = call["groups"]
    inputs, outputs = shape[1] * groups, shape[0]
    if operator == "conv_transpose2d":
        inputs, outputs = shape[0], shape[1] * groups
    return Weights(inputs, outputs, groups, shape[2:], _pair(call["stride"]), _pair(call["dilation"]))


def _pair(values: int | list[int] | tuple[int, ...]) -> Shape:
    values = [values] if isinstance(values, int) else list(values)
    return values[0], values[-1]


def _kind(operator: str, found: Weights | None) -> str:
    """`conv2d` split into what runtimes treat differently: pointwise, depthwise, grouped."""
    if operator != "conv2d" or found is None:
        return operator
    prefix = "depthwise" if found.is_depthwise else "grouped conv" if found.groups > 1 else "conv"
    return f"{prefix} {found.kernel[0]}x{found.kernel[1]}"
