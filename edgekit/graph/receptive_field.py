"""Receptive fields along a graph (Araujo, Norris, Sim: Computing Receptive Fields of CNNs, Distill 2019)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from torch import fx

from edgekit.graph.extent import PIXEL, Extent, moved, resized, transposed, window
from edgekit.graph.trace import Shape, arguments, operators, shape_of


@dataclass(frozen=True)
class Field:
    """What the outputs of a value see of the input, along height and width."""

    rows: Extent = PIXEL
    columns: Extent = PIXEL
    everything: bool = False
    """After a global pooling: the whole input, however large."""

    @property
    def size(self) -> tuple[int, int]:
        """Input pixels (height, width) that the output which sees most sees."""
        return self.rows.size, self.columns.size

    def extent(self, input_shape: Shape) -> tuple[int, int]:
        """Pixels (height, width), the input's own where everything is seen."""
        return (int(input_shape[-2]), int(input_shape[-1])) if self.everything else self.size


def receptive_fields(graph: fx.GraphModule) -> dict[fx.Node, Field]:
    """The field of every value of a traced network; where paths meet, what is seen along any of them."""
    fields: dict[fx.Node, Field] = {node: Field() for node in graph.graph.find_nodes(op="placeholder")}
    for node, operator in operators(graph):
        inputs = [fields[value] for value in node.all_input_nodes if value in fields]
        if inputs:
            fields[node] = _through(node, operator, _joined(inputs))
    return fields


def _joined(inputs: list[Field]) -> Field:
    joined, *others = inputs
    for other in others:
        joined = Field(
            joined.rows.joined(other.rows),
            joined.columns.joined(other.columns),
            joined.everything or other.everything,
        )
    return joined


def _through(node: fx.Node, operator: str, field: Field) -> Field:
    if operator in ("conv2d", "max_pool2d", "avg_pool2d", "conv_transpose2d"):
        return _window(node, operator, field)
    if operator.startswith("upsample"):
        return _resized(node, field, bilinear="bilinear" in operator)
    if operator in ("roll", "pad", "constant_pad_nd", "slice", "narrow"):
        return _moved(node, operator, field)
    if operator.startswith("adaptive") or (
        operator == "mean" and len(shape_of(node.all_input_nodes[0])) == 4
    ):
        before, after = shape_of(node.all_input_nodes[0]), shape_of(node)
        whole = len(after) < 4 or tuple(after[2:]) == (1, 1) != tuple(before[2:])
        return replace(field, everything=field.everything or whole)
    return field


def _window(node: fx.Node, operator: str, field: Field) -> Field:
    call = arguments(node)
    weighted = operator.startswith("conv")
    kernel = shape_of(call["weight"])[2:] if weighted else _pair(call["kernel_size"])
    stride, padding = _pair(call["stride"] or kernel), _padding(call["padding"], kernel, call)
    dilation = _pair(call.get("dilation", 1))
    through = transposed if operator == "conv_transpose2d" else window
    rows, columns = (
        through(
            extent, kernel=kernel[axis], stride=stride[axis], padding=padding[axis], dilation=dilation[axis]
        )
        for axis, extent in enumerate((field.rows, field.columns))
    )
    return replace(field, rows=rows, columns=columns)


def _padding(value: Any, kernel: Shape, call: dict[str, Any]) -> tuple[int, int]:
    """In front, in pixels, where convolutions may say it in words."""
    if not isinstance(value, str):
        return _pair(value)
    dilation = _pair(call.get("dilation", 1))
    around = [step * (size - 1) // 2 for step, size in zip(dilation, kernel, strict=True)]
    return (around[0], around[1]) if value == "same" else (0, 0)


def _resized(node: fx.Node, field: Field, *, bilinear: bool) -> Field:
    before, after = shape_of(node.all_input_nodes[0]), shape_of(node)
    return replace(
        field,
        rows=resized(field.rows, before=before[2], after=after[2], bilinear=bilinear),
        columns=resized(field.columns, before=before[3], after=after[3], bilinear=bilinear),
    )


def _moved(node: fx.Node, operator: str, field: Field) -> Field:
    """Pictures (N, C, H, W) that are shifted against others see what lies beside."""
    if len(shape_of(node.all_input_nodes[0])) != 4:
        return field
    rows, columns = field.rows, field.columns
    for axis, start, step in _moves(node, operator):
        rows = moved(rows, start, step) if axis % 4 == 2 else rows
        columns = moved(columns, start, step) if axis % 4 == 3 else columns
    return replace(field, rows=rows, columns=columns)


def _moves(node: fx.Node, operator: str) -> list[tuple[int, int, int]]:
    """Axis, start and step of each movement along an axis."""
    call = arguments(node)
    if operator == "roll":
        return [
            (axis, -shift, 1) for axis, shift in zip(_list(call["dims"]), _list(call["shifts"]), strict=False)
        ]
    if operator in ("pad", "constant_pad_nd"):
        return [(-1 - place, -before, 1) for place, before in enumerate(call["pad"][::2])]
    size = shape_of(node.all_input_nodes[0])[call["dim"]]
    start = call["start"] or 0
    return [(call["dim"], start % size if start < 0 else min(start, size), call.get("step", 1))]


def _list(value: Any) -> list[int]:
    return [value] if isinstance(value, int) else list(value)


def _pair(value: Any) -> tuple[int, int]:
    values = (value,) if isinstance(value, int) else tuple(value)
    return (int(values[0]), int(values[-1]))
