"""Receptive fields along a graph (Araujo, Norris, Sim: Computing Receptive Fields of CNNs, Distill 2019).

Counted through windows: what attention and layers along tokens add is not.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from torch import Tensor, fx, nn

from edgekit.graph.extent import PIXEL, Extent, moved, resized, transposed, window
from edgekit.graph.trace import Shape, arguments, operators, parameter_of, shape_of


@dataclass(frozen=True)
class Field:
    """What the outputs of a value see of the input, along height and width."""

    rows: Extent = PIXEL
    columns: Extent = PIXEL
    everything: bool = False
    """After a global pooling: the whole input, however large."""
    axes: tuple[int, int] = (2, 3)
    """Where height and width lie, in tensors of rank 4."""
    sizes: tuple[int, int] = (0, 0)
    """Height and width of the picture that there was last, by which one is known behind a reshape."""

    @property
    def size(self) -> tuple[int, int]:
        """Input pixels (height, width) that the output which sees most sees."""
        return self.rows.size, self.columns.size

    def extent(self, input_shape: Shape) -> tuple[int, int]:
        """Pixels (height, width), the input's own where everything is seen."""
        return (int(input_shape[-2]), int(input_shape[-1])) if self.everything else self.size


NOTHING = Field()
"""Of what is computed from constants and parameters alone: position biases, grids made in the forward."""


Taps = tuple[tuple[int, int], tuple[int, int]]
"""The first and the last row of a kernel that has weights other than zero, and the columns likewise."""


def receptive_fields(graph: fx.GraphModule, taps: Mapping[str, Taps] | None = None) -> dict[fx.Node, Field]:
    """The field of every value that depends on the input; where paths meet, what is seen along any of them.

    `taps`: by a convolution's weight, what is left of its kernels; all of the others'.
    """
    fields: dict[fx.Node, Field] = {
        node: Field(sizes=_sizes(shape_of(node), (2, 3))) for node in graph.graph.find_nodes(op="placeholder")
    }
    for node, operator in operators(graph):
        inputs = [fields[value] for value in node.all_input_nodes if value in fields]
        if operator == "cat" and inputs:
            inputs = _side_by_side(node, fields)
        if inputs:
            fields[node] = _through(node, operator, _joined(inputs), taps or {})
    return fields


def widest(fields: Mapping[fx.Node, Field]) -> tuple[int, int]:
    """Input pixels (height, width) that any value sees."""
    rows, columns = zip(*(field.size for field in fields.values()), strict=True)
    return max(rows), max(columns)


def taps_left(module: nn.Module) -> dict[str, Taps]:
    """By the weight of each convolution that has zeros: the rows and columns of its kernels that are not all zero."""
    found = {}
    for name, weight in module.named_parameters():
        if weight.dim() == 4 and 0 < int(weight.count_nonzero()) < weight.numel():
            left = weight.detach().ne(0).flatten(0, 1).any(0)
            found[name] = _ends(left.any(1)), _ends(left.any(0))
    return found


def _ends(left: Tensor) -> tuple[int, int]:
    places = left.nonzero().flatten().tolist()
    return places[0], places[-1]


def _joined(inputs: list[Field]) -> Field:
    joined, *others = inputs
    for other in others:
        joined = replace(
            joined,
            rows=joined.rows.joined(other.rows),
            columns=joined.columns.joined(other.columns),
            everything=joined.everything or other.everything,
        )
    return joined


def _side_by_side(node: fx.Node, fields: dict[fx.Node, Field]) -> list[Field]:
    """Of pictures that are laid side by side (a roll is written so in files) the largest, where it comes to lie."""
    parts, dim = node.all_input_nodes, arguments(node)["dim"]
    known = [fields[value] for value in parts if value in fields]
    if len(shape_of(node)) != 4 or dim % 4 not in known[0].axes:
        return known
    sizes = [shape_of(value)[dim] for value in parts]
    place = sizes.index(max(sizes))
    if parts[place] not in fields:
        return known
    field, before = fields[parts[place]], sum(sizes[:place])
    if dim % 4 == field.axes[0]:
        return [replace(field, rows=moved(field.rows, -before))]
    return [replace(field, columns=moved(field.columns, -before))]


def _through(node: fx.Node, operator: str, field: Field, taps: Mapping[str, Taps]) -> Field:
    before = node.all_input_nodes[0]
    through = _PICTURES.get(operator)
    if operator in _CONVOLUTIONS:
        through = partial(_window, taps=taps.get(parameter_of(arguments(node)["weight"]) or ""))
    if len(shape_of(before)) == 4 and through is not None:
        return _measured(node, replace(through(node, operator, field), axes=(2, 3)))
    if operator == "adaptive_avg_pool1d":
        return _pooled(node, operator, field)
    if operator in ("roll", "pad", "constant_pad_nd", "slice", "narrow"):
        return _measured(node, _moved(node, operator, field))
    if operator in ("permute", "transpose", "view", "reshape", "_unsafe_view", "unflatten"):
        return replace(field, axes=_axes(node, operator, field))
    if operator == "mean" and len(shape_of(before)) == 4:
        reduced = {axis % 4 for axis in arguments(node)["dim"] or range(4)}
        return replace(field, everything=field.everything or reduced >= set(field.axes))
    return field


def _sizes(shape: Shape, axes: tuple[int, int]) -> tuple[int, int]:
    return (shape[axes[0]], shape[axes[1]]) if len(shape) == 4 else (0, 0)


def _measured(node: fx.Node, field: Field) -> Field:
    """The field with the size of the picture that a node gives."""
    shape = shape_of(node)
    return replace(field, sizes=_sizes(shape, field.axes)) if len(shape) == 4 else field


def _axes(node: fx.Node, operator: str, field: Field) -> tuple[int, int]:
    """Where height and width lie behind a movement of axes: pictures (N, C, H, W), or (N, H, W, C)."""
    call, shape = arguments(node), shape_of(node)
    if operator in ("permute", "transpose") and len(shape) == 4:
        order = list(range(4))
        if operator == "permute":
            order = [axis % 4 for axis in call["dims"]]
        else:
            one, two = call["dim0"], call["dim1"]
            order[one], order[two] = order[two], order[one]
        return order.index(field.axes[0]), order.index(field.axes[1])
    fitting = [axes for axes in (field.axes, (2, 3), (1, 2)) if _sizes(shape, axes) == field.sizes]
    return fitting[0] if fitting else field.axes


def _window(node: fx.Node, operator: str, field: Field, taps: Taps | None = None) -> Field:
    call = arguments(node)
    weighted = operator.startswith("conv")
    kernel = shape_of(call["weight"])[2:] if weighted else _pair(call["kernel_size"])
    stride, padding = _pair(call["stride"] or kernel), _padding(call["padding"], kernel, call)
    dilation = _pair(call.get("dilation", 1))
    first, last = zip(*(taps or ((0, kernel[0] - 1), (0, kernel[-1] - 1))), strict=True)
    through = transposed if operator == "conv_transpose2d" else window
    rows, columns = (
        through(
            extent,
            kernel=last[axis] - first[axis] + 1,
            stride=stride[axis],
            padding=padding[axis] - dilation[axis] * first[axis],
            dilation=dilation[axis],
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


def _resized(node: fx.Node, operator: str, field: Field) -> Field:
    before, after = shape_of(node.all_input_nodes[0])[2:], shape_of(node)[2:]
    reach = 1 if "bilinear" in operator else 2 if "bicubic" in operator else 0
    rows, columns = (
        # where pictures get smaller, antialiasing reads as many pixels more
        resized(
            extent, before=old, after=new, reach=reach * (-(-old // new) if operator.endswith("aa") else 1)
        )
        for extent, old, new in zip((field.rows, field.columns), before, after, strict=True)
    )
    return replace(field, rows=rows, columns=columns)


def _shuffled(node: fx.Node, operator: str, field: Field) -> Field:
    """Each pixel becomes a block of channels' pixels, or the other way round."""
    if operator == "pixel_shuffle":
        return _resized(node, operator, field)
    factor = arguments(node)["downscale_factor"]
    rows, columns = (window(extent, kernel=factor, stride=factor) for extent in (field.rows, field.columns))
    return replace(field, rows=rows, columns=columns)


def _pooled(node: fx.Node, _: str, field: Field) -> Field:
    before, after = shape_of(node.all_input_nodes[0])[2:], shape_of(node)[2:]
    return replace(field, everything=field.everything or (set(after) == {1} and after != before))


def _moved(node: fx.Node, operator: str, field: Field) -> Field:
    """Pictures that are shifted against others see what lies beside."""
    if len(shape_of(node.all_input_nodes[0])) != 4:
        return field
    rows, columns = field.rows, field.columns
    for axis, start, step in _moves(node, operator):
        rows = moved(rows, start, step) if axis % 4 == field.axes[0] else rows
        columns = moved(columns, start, step) if axis % 4 == field.axes[1] else columns
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


_CONVOLUTIONS = ("conv2d", "conv_transpose2d")
_PICTURES: dict[str, Callable[[fx.Node, str, Field], Field]] = {
    **dict.fromkeys((*_CONVOLUTIONS, "max_pool2d", "avg_pool2d"), _window),
    **dict.fromkeys(("upsample_nearest2d", "_upsample_nearest_exact2d"), _resized),
    **dict.fromkeys(("upsample_bilinear2d", "upsample_bicubic2d"), _resized),
    **dict.fromkeys(("_upsample_bilinear2d_aa", "_upsample_bicubic2d_aa"), _resized),
    **dict.fromkeys(("pixel_shuffle", "pixel_unshuffle"), _shuffled),
    **dict.fromkeys(("adaptive_avg_pool2d", "adaptive_max_pool2d"), _pooled),
}
"""Operators on pictures (N, C, H, W)."""
