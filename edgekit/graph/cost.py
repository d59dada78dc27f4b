"""The static cost of a network, counted on its exported graph: MACs, parameters, memory access, memory held.

MACs and parameters follow the usual definitions (conv: weights · output positions; transposed conv: weights ·
input positions; linear: weights · tokens; matmul, einsum and attention: products of their operands). Memory access is
what ShuffleNet V2 (Ma et al. 2018) calls the memory access cost, in bytes: each operator reads its inputs and
weights once and writes its output once; for a 1×1 convolution hw(c1 + c2) + c1·c2 elements.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import fx, nn

from edgekit.graph.layer import Counter, Layer
from edgekit.graph.memory import schedule
from edgekit.graph.receptive_field import receptive_fields, widest
from edgekit.graph.trace import Shape, layer_of, operators, parameter_of, trace
from edgekit.graph.traffic import ELEMENTWISE, Width, elements, is_tensor


@dataclass(frozen=True)
class Buffer:
    """What is held in memory at the peak."""

    name: str
    """The layer that made it, or the input's name."""
    size_bytes: int


@dataclass(frozen=True)
class Cost:
    """The static cost of a network at one input shape (N, C, H, W)."""

    input_shape: Shape
    params: int
    macs: int
    elementwise_operations: int
    """Elements that are computed one by one: sums, products, activations; folded batch norms are none."""
    memory_access_bytes: int
    macs_per_byte: float
    """Arithmetic intensity: over the sum of all layers' memory access."""
    peak_activation_bytes: int
    """The most that is alive at once, in the graph's own order; `Layer.live_bytes` gives it step by step."""
    peak_layer: str
    """The layer that runs then."""
    peak_buffers: tuple[Buffer, ...]
    receptive_field: tuple[int, int]
    """The widest (height, width) through windows alone: global poolings, and gates made of them, see all of it."""
    depth: int
    """Layers with multiply-accumulates on the longest path."""
    width: int
    """The most channels that a convolution or linear layer gives."""
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
    sizes = {name: value.numel() for name, value in module.named_parameters()}
    return counted(
        graph, sizes, input_shape, lambda node: weight_bytes if parameter_of(node) else activation_bytes
    )


def counted(graph: fx.GraphModule, sizes: Mapping[str, int], input_shape: Shape, width: Width) -> Cost:
    """`cost` of any graph of ATen's operators, by the elements of its parameters and the bytes of an element."""
    moments = schedule(graph, width)
    peak = max(moments, key=lambda moment: moment.live_bytes, default=None)
    live = {moment.node: moment.live_bytes for moment in moments}
    fields = receptive_fields(graph)
    layers = Counter(sizes, input_shape, width, live, fields).layers(graph)
    macs, moved = sum(layer.macs for layer in layers), sum(layer.memory_access_bytes for layer in layers)
    return Cost(
        input_shape=tuple(input_shape),
        params=sum(sizes.values()),
        macs=macs,
        elementwise_operations=sum(
            elements(node)
            for node, operator in operators(graph)
            if operator in ELEMENTWISE and is_tensor(node)
        ),
        memory_access_bytes=moved,
        macs_per_byte=macs / moved if moved else 0.0,
        peak_activation_bytes=peak.live_bytes if peak else 0,
        peak_layer=layer_of(peak.node) if peak else "",
        peak_buffers=tuple(Buffer(_name(value), size) for value, size in peak.buffers) if peak else (),
        receptive_field=widest(fields),
        depth=_depth(layers),
        width=max((layer.weights.output_channels for layer in layers if layer.weights), default=0),
        layers=layers,
    )


def _name(value: fx.Node) -> str:
    return value.name if value.op == "placeholder" else layer_of(value)


def _depth(layers: tuple[Layer, ...]) -> int:
    depths: list[int] = []
    for layer in layers:
        before = max((depths[place] for place in layer.after), default=0)
        depths.append(before + (layer.macs > 0))
    return max(depths, default=0)
