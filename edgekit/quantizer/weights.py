"""Weights on their grids: one scale per output channel, `max|w| / 127`, zero point 0."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import torch

from edgekit.quantizer.graphs import operand, tensor_of
from edgekit.quantizer.placement import origin

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, fx

    from edgekit.model import ActivationScale

HIGHEST = 127
_LARGEST_BIAS = 2.0**30  # as runtimes hold it: an int32 in units of input scale · weight scale
_BIAS_OF_SILENT_CHANNEL = 2.0**20


def channel_scales(
    weight: Tensor,
    axis: int,
    *,
    bias: Tensor | None = None,
    input_scale: float = 1.0,
    highest: float = math.inf,
) -> Tensor:
    """The scale of each output channel (channels,) float32; at least one weight of a channel is ±127.

    Two kinds of channel that training leaves behind, both next to constant, are treated apart, for runtimes
    hold the bias as an int32 in units of input scale · weight scale. Where weights are so small beside the bias
    that it would overflow, the scale follows the bias, and the weights round to zero. Where they are so large
    (batch norm divided by a variance of nearly nothing) that the bias would be rounded away, the scale stops
    at `highest`, and the weights are clipped.
    """
    others = [dimension for dimension in range(weight.dim()) if dimension != axis]
    scales = (weight.abs().amax(dim=others) / HIGHEST).clamp(max=highest)
    bias = torch.zeros_like(scales) if bias is None else bias.abs()
    silent = (scales == 0) | (bias > scales * input_scale * _LARGEST_BIAS)
    stand_in = torch.where(bias > 0, bias / (input_scale * _BIAS_OF_SILENT_CHANNEL), 1 / HIGHEST)
    return torch.where(silent, stand_in, scales)


def scales_in(
    graph: fx.GraphModule, operator: fx.Node, axis: int, activations: Mapping[str, ActivationScale]
) -> Tensor:
    """`channel_scales` of a weighted operator of a folded graph, whose input's scale is decided."""
    weight = tensor_of(graph, operand(operator, 1)).detach()
    bias = tensor_of(graph, operand(operator, 2)).detach() if has_bias(operator) else None
    return scales_of(operator, axis, weight, bias, activations)


def has_bias(operator: fx.Node) -> bool:
    """Of a weighted operator."""
    return len(operator.args) > 2 and operator.args[2] is not None


def scales_of(
    operator: fx.Node,
    axis: int,
    weight: Tensor,
    bias: Tensor | None,
    activations: Mapping[str, ActivationScale],
) -> Tensor:
    """`channel_scales` of a weighted operator with another weight and bias than the graph holds."""
    return channel_scales(
        weight,
        axis,
        bias=bias,
        input_scale=activations[origin(operand(operator, 0)).name].scale,
        highest=highest_scale(operator, activations),
    )


def highest_scale(operator: fx.Node, activations: Mapping[str, ActivationScale]) -> float:
    """The scale at which a bias is rounded by half a step of the output: output scale / input scale.

    One step of the input then moves the output by 127 steps, so that larger weights only saturate it (for a
    pruned MobileNetV2 this brought ONNX Runtime's outputs from 4 to 23.5 dB of the float ones). Infinite where
    the result stays float.
    """
    results = [node for node in (operator, *operator.users) if node.name in activations]
    if not results:
        return math.inf
    return activations[results[0].name].scale / activations[origin(operand(operator, 0)).name].scale


def rounded_in(
    graph: fx.GraphModule, operator: fx.Node, axis: int, activations: Mapping[str, ActivationScale]
) -> Tensor:
    """The weight of an operator of a folded graph as the values that its integers stand for."""
    weight, scales = tensor_of(graph, operand(operator, 1)), scales_in(graph, operator, axis, activations)
    return on_grid(weight, scales, axis)


def on_grid(weight: Tensor, scales: Tensor, axis: int) -> Tensor:
    """The values that a weight's integers stand for."""
    return integers(weight, scales, axis) * along(scales, axis, weight.dim())


def along(values: Tensor, axis: int, dimensions: int) -> Tensor:
    """Values of channels, shaped so that they meet the channels of a tensor."""
    axis %= dimensions
    return values.view([-1 if dimension == axis else 1 for dimension in range(dimensions)])


def integers(weight: Tensor, scales: Tensor, axis: int) -> Tensor:
    """The int8 weights, by the very operator that the converted graph quantizes them with."""
    zeros = torch.zeros_like(scales, dtype=torch.int64)
    quantize = torch.ops.quantized_decomposed.quantize_per_channel
    result: Tensor = quantize(weight, scales, zeros, axis, -HIGHEST, HIGHEST, torch.int8)
    return result
