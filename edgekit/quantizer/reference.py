"""The quantized network in PyTorch, rebuilt from float weights and scales: what files are held to."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from edgekit.errors import InputError
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.graphs import operand, rename_tensor, set_tensor, tensor_of
from edgekit.quantizer.placement import Placement, place
from edgekit.quantizer.quantizer import Decided, Int8Quantizer
from edgekit.quantizer.quiet import quiet_torch
from edgekit.quantizer.weights import rounded_in

if TYPE_CHECKING:
    from torch import fx

    from edgekit.model import Model, Quantization


def quantized_graph(model: Model, *, any_batch: bool = False) -> fx.GraphModule:
    """The graph with explicit quantize and dequantize operators, int8 weights and float biases.

    The same float weights and scales give the same graph, in any process. Weights and their scales are
    buffers `<layer>.weight` (int8) and `<layer>.weight_scale`. Takes (1, C, H, W) float32, or any N with
    `any_batch`. Raises `InputError` where the model is not quantized, or has another network's scales.
    """
    quantization, graph = decision_of(model), folded_graph(model, any_batch=any_batch)
    placement = place(graph, quantization.rules, quantization.float_operators)
    check_scales(model, placement, quantization)
    weights = {node.name: str(operand(node, 1).target) for node in placement.channel_axes}
    with quiet_torch():
        from torchao.quantization.pt2e.quantize_pt2e import convert_pt2e, prepare_pt2e

        grids, floats = Decided(quantization.activations), quantization.float_operators
        quantizer = Int8Quantizer(quantization.rules, grids, floats)
        converted: fx.GraphModule = convert_pt2e(prepare_pt2e(graph, quantizer))
    _name_weights(converted, weights)
    for part in converted.modules():
        part.training = False  # torchao forbids eval(), exporters warn without it
    return converted


def rounded_float_graph(model: Model) -> fx.GraphModule:
    """The folded float graph with every quantized weight replaced by the value its integer stands for.

    For converters that quantize by themselves: `max|w| / 127` of these weights gives the same integers again.
    Takes (1, C, H, W) float32. Raises `InputError` as `quantized_graph` does.
    """
    quantization, graph = decision_of(model), folded_graph(model)
    placement = place(graph, quantization.rules, quantization.float_operators)
    check_scales(model, placement, quantization)
    for node, axis in placement.channel_axes.items():
        rounded = rounded_in(graph, node, axis, quantization.activations)
        set_tensor(graph, str(operand(node, 1).target), rounded)
    return graph


def _name_weights(converted: fx.GraphModule, weights: dict[str, str]) -> None:
    """Give torchao's numbered constants the names of the layers that they belong to."""
    named: dict[str, torch.Tensor] = {}
    for node in converted.graph.nodes:
        if (name := weights.get(node.name)) is not None:
            dequantize = operand(node, 1)
            integers = tensor_of(converted, operand(dequantize, 0))
            if not torch.equal(named.setdefault(name, integers), integers):
                continue  # a layer that is used twice, and silent in one place alone
            for index, suffix in enumerate(("", "_scale", "_zero_point")):
                rename_tensor(converted, operand(dequantize, index), name + suffix)
    converted.recompile()


def decision_of(model: Model) -> Quantization:
    """The model's scales; raises `InputError` where it has none."""
    if model.quantization is None:
        raise InputError(f"{model.name} is not quantized", hint="calibrate it first")
    return model.quantization


def check_scales(model: Model, placement: Placement, quantization: Quantization) -> None:
    """Raise `InputError` unless there is a scale for each tensor that is to be an integer, and no other."""
    wanted = {node.name for node in placement.leaders}
    if wanted != set(quantization.activations):
        first = min(wanted ^ set(quantization.activations))
        raise InputError(
            f"{model.name}: its INT8 scales were decided for another network: see {first!r}",
            hint="quantize again",
        )
