"""The weights of an INT8 .tflite are the PyTorch reference's: compared bit for bit, scales set to its own."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.errors import EdgekitError, InputError
from edgekit.exporters.litert_graph import WEIGHTED, Graph, Operator, layouts, pack, read_graph, unpack
from edgekit.quantizer.graphs import operand, tensor_of
from edgekit.quantizer.placement import place
from edgekit.quantizer.weights import integers, scales_in

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import fx

    from edgekit.exporters.litert_graph import Array
    from edgekit.model import Quantization

_LARGEST_BIAS = 2**31 - 1


@dataclass(frozen=True)
class LayerWeights:
    """One layer's integers, output channels first, and the scale of each channel, float32."""

    name: str
    integers: Array
    scales: Array


def integer_weights(rounded: fx.GraphModule, quantization: Quantization) -> list[LayerWeights]:
    """The integers that a rounded float graph's weights stand for, as the PyTorch reference computes them."""
    layers = []
    for node, axis in place(rounded, quantization.rules, quantization.float_operators).channel_axes.items():
        weight = tensor_of(rounded, operand(node, 1)).detach()
        scales = scales_in(rounded, node, axis, quantization.activations)
        stored = integers(weight, scales, axis).movedim(axis, 0).numpy()
        name = str(operand(node, 1).target).removesuffix(".weight")
        layers.append(LayerWeights(name, stored, scales.detach().numpy()))
    return layers


def float_outputs(graph: Graph, rounded: fx.GraphModule, quantization: Quantization) -> frozenset[int]:
    """The tensors of a float file that are computed by the weighted operators which stay float in the network.

    They are known by their weights. Raises `InputError` that names a layer whose weights another has too, or none.
    """
    weighted = [operator for operator in graph.operators if operator.kind in WEIGHTED]
    axes = place(rounded, quantization.rules).channel_axes
    uses = Counter(str(operand(node, 1).target) for node in axes if node.name in quantization.float_operators)
    found: set[int] = set()
    for node, axis in axes.items():
        if (name := str(operand(node, 1).target)) not in uses:
            continue
        weight = tensor_of(rounded, operand(node, 1)).detach().movedim(axis, 0).numpy()
        own = {operator.outputs[0] for operator in weighted if _same(weight, _weight(graph, operator))}
        if len(own) != uses[name]:
            raise InputError(
                f"{name} cannot stay float: {len(own)} operators of the .tflite have its weights"
            )
        found |= own
    return frozenset(found)


def settle_weights(content: bytes, float_content: bytes, layers: Sequence[LayerWeights]) -> bytes:
    """The INT8 file with each weight's scales exactly PyTorch's, and the int32 biases that follow from them.

    The integers themselves must be equal already. The scales may differ in the last bit, or altogether in a
    channel whose weights are all zero, of which a quantizer that sees only weights cannot know. Raises
    `EdgekitError` that names the layers whose integers are not in the file.
    """
    model, graph, float_graph = unpack(content), read_graph(content), read_graph(float_content)
    remaining = [operator for operator in graph.operators if _is_integer(graph, operator)]
    missing: list[str] = []
    for layer in layers:
        found = next(
            (operator for operator in remaining if _same(layer.integers, _weight(graph, operator))), None
        )
        if found is None:
            missing.append(f"{layer.name} ({_nearest(layer, graph, remaining)})")
            continue
        remaining.remove(found)
        _set_scales(model, graph, found, layer.scales, _float_bias(float_graph, graph, found))
    if missing or remaining:
        extra = [graph.tensors[operator.outputs[0]].name for operator in remaining]
        raise EdgekitError(
            "the .tflite does not hold the PyTorch network's integers: "
            f"missing {', '.join(missing) or 'none'}; not PyTorch's {', '.join(extra) or 'none'}"
        )
    return pack(model)


def _is_integer(graph: Graph, operator: Operator) -> bool:
    return operator.kind in WEIGHTED and _weight(graph, operator).dtype == np.int8


def _weight(graph: Graph, operator: Operator) -> Array:
    value = graph.tensors[operator.inputs[WEIGHTED[operator.kind][1]]].data
    return np.empty(0) if value is None else value


def _same(weight: Array, stored: Array) -> bool:
    return any(np.array_equal(layout, stored) for layout in layouts(weight))


def _nearest(layer: LayerWeights, graph: Graph, operators: Sequence[Operator]) -> str:
    different = [
        int(np.count_nonzero(layout != stored))
        for stored in (_weight(graph, operator) for operator in operators)
        for layout in layouts(layer.integers)
        if layout.shape == stored.shape
    ]
    return f"{min(different)} of {layer.integers.size} differ" if different else "none of its shape is left"


def _float_bias(float_graph: Graph, graph: Graph, operator: Operator) -> Array | None:
    """The bias in the float file, which may hold more than PyTorch's (a hard sigmoid's + 3)."""
    output = graph.tensors[operator.outputs[0]].name
    for other in float_graph.operators:
        if float_graph.tensors[other.outputs[0]].name == output:
            return float_graph.tensors[other.inputs[-1]].data if _has_bias(other) else None
    raise EdgekitError(f"layer {output} of the INT8 .tflite is not in the float one")


def _has_bias(operator: Operator) -> bool:
    return len(operator.inputs) > max(WEIGHTED[operator.kind]) + 1


def _set_scales(model: Any, graph: Graph, operator: Operator, scales: Array, bias: Array | None) -> None:
    tensors = model.subgraphs[0].tensors
    data, weight = WEIGHTED[operator.kind]
    tensors[operator.inputs[weight]].quantization.scale = scales
    if bias is None:
        return
    stored = tensors[operator.inputs[-1]]
    units = scales.astype(np.float64) * graph.tensors[operator.inputs[data]].scales[0]
    integers = np.clip(np.round(bias / units), -_LARGEST_BIAS, _LARGEST_BIAS).astype(np.int32)
    stored.quantization.scale = units.astype(np.float32)
    model.buffers[stored.buffer].data = np.frombuffer(integers.tobytes(), dtype=np.uint8)
