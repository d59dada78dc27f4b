"""Receptive fields along a graph (Araujo, Norris, Sim: Computing Receptive Fields of CNNs, Distill 2019)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

from torch import fx

from edgekit.graph.trace import Shape, arguments, operators, shape_of

Pair = tuple[float, float]


@dataclass(frozen=True)
class Field:
    """What one output sees: `size` input pixels, neighbours `stride` input pixels apart."""

    size: tuple[int, int] = (1, 1)
    stride: Pair = (1.0, 1.0)
    everything: bool = False
    """After a global pooling: the whole input, however large."""

    def extent(self, input_shape: Shape) -> tuple[int, int]:
        """Pixels (height, width), the input's own where everything is seen."""
        return (int(input_shape[-2]), int(input_shape[-1])) if self.everything else self.size


def receptive_fields(graph: fx.GraphModule) -> dict[fx.Node, Field]:
    """The field of every value of a traced network; where paths meet, the widest."""
    fields: dict[fx.Node, Field] = {node: Field() for node in graph.graph.find_nodes(op="placeholder")}
    for node, operator in operators(graph):
        inputs = [fields[value] for value in node.all_input_nodes if value in fields]
        if inputs:
            fields[node] = _through(node, operator, _widest(inputs))
    return fields


def _widest(inputs: list[Field]) -> Field:
    return Field(
        size=(max(field.size[0] for field in inputs), max(field.size[1] for field in inputs)),
        stride=(max(field.stride[0] for field in inputs), max(field.stride[1] for field in inputs)),
        everything=any(field.everything for field in inputs),
    )


def _through(node: fx.Node, operator: str, field: Field) -> Field:
    if operator in ("conv2d", "max_pool2d", "avg_pool2d"):
        call = arguments(node)
        kernel = shape_of(call["weight"])[2:] if operator == "conv2d" else _pair(call["kernel_size"])
        stride = _pair(call["stride"] or kernel)
        return _window(field, kernel, stride, _pair(call.get("dilation", 1)))
    if operator == "conv_transpose2d":
        call = arguments(node)
        stride = _pair(call["stride"])
        reach = tuple(math.ceil(k / s) for k, s in zip(shape_of(call["weight"])[2:], stride, strict=True))
        wide = _window(field, reach, (1, 1), (1, 1))
        return Field(wide.size, (field.stride[0] / stride[0], field.stride[1] / stride[1]), field.everything)
    if operator.startswith("upsample"):
        return _upsampled(node, operator, field)
    if operator.startswith("adaptive") or (
        operator == "mean" and len(shape_of(node.all_input_nodes[0])) == 4
    ):
        before, after = shape_of(node.all_input_nodes[0]), shape_of(node)
        whole = len(after) < 4 or tuple(after[2:]) == (1, 1) != tuple(before[2:])
        return Field(field.size, field.stride, everything=field.everything or whole)
    return field


def _window(
    field: Field, kernel: tuple[int, ...], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> Field:
    size = tuple(
        int(seen + dilated * (extent - 1) * step)
        for seen, extent, dilated, step in zip(field.size, kernel, dilation, field.stride, strict=True)
    )
    return Field(
        (size[0], size[1]), (field.stride[0] * stride[0], field.stride[1] * stride[1]), field.everything
    )


def _upsampled(node: fx.Node, operator: str, field: Field) -> Field:
    """Bilinear reads two neighbours in each direction, nearest reads one; outputs lie closer together."""
    before, after = shape_of(node.all_input_nodes[0]), shape_of(node)
    wide = _window(field, (2, 2), (1, 1), (1, 1)) if "bilinear" in operator else field
    return Field(
        wide.size,
        (field.stride[0] * before[2] / after[2], field.stride[1] * before[3] / after[3]),
        field.everything,
    )


def _pair(value: Any) -> tuple[int, int]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return (int(values[0]), int(values[-1]))
