"""The rules under which ONNX Runtime's x86 kernels compute a Q/DQ ONNX file on integers, checked without running it.

After ONNX Runtime's "Quantize ONNX models" (representation format QDQ; data types on x86-64) and "ONNX Runtime graph
optimizations" (QDQ propagation and fusion), and ONNX's operator specification of QLinearConv (zero points of a weight,
int32 bias of scale input·weight), QuantizeLinear and DequantizeLinear.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.exporters.onnx_read import OnnxFile, read
from edgekit.exporters.onnx_scales import QDQ, off_channels

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.parity import Array
    from edgekit.target import FileRules

TITLE = "ONNX Runtime's QDQ format on x86"
_MOVED = ("Reshape", "Transpose", "Squeeze", "Unsqueeze", "Flatten", "Split", "Slice", "Gather", "MaxPool")
"""Computed on integers as they are: only where what comes out has the scale of what goes in."""
_PAIRED = ("Add", "Mul")
_CUTS = ("Relu", "Clip")
"""Left out before a Q whose integers end where these cut."""


def breaches(path: Path, rules: FileRules) -> list[str]:  # noqa: ARG001 (all checkers take them)
    """Every rule that a quantized ONNX file breaks, with the operator that breaks it; empty where it meets all.

    Raises `MissingError` without onnx.
    """
    file = read(path)
    readers = _readers(file)
    weighted = {id(node) for node in file.weighted}
    found: list[str] = []
    for node in file.nodes:
        if node.op_type in QDQ:
            found.extend(_in_scale(file, node))
        elif id(node) in weighted:
            found.extend(_in_weighted(file, node))
            if node.op_type == "Conv":
                found.extend(_in_result(file, node, readers))
        elif node.op_type in _PAIRED and all(map(file.dequantizer, node.input)):
            found.extend(_in_result(file, node, readers))
        elif node.op_type in _MOVED:
            found.extend(_in_moved(file, node, readers))
        elif node.op_type == "Concat":
            found.extend(_in_joined(file, node, readers))
    return found


def _readers(file: OnnxFile) -> dict[str, list[Any]]:
    """Value → the operators that read it; the network's outputs are read by None."""
    found: dict[str, list[Any]] = {value.name: [None] for value in file.model.graph.output}
    for node in file.nodes:
        for value in dict.fromkeys(node.input):
            found.setdefault(value, []).append(node)
    return found


def _in_scale(file: OnnxFile, node: Any) -> Iterator[str]:
    scale, zero = _grid(file, node)
    if scale is None or not (np.isfinite(scale) & (scale > 0)).all():
        yield f"{node.name}: its scale is no positive constant"
    if zero is None:
        yield f"{node.name}: its zero point is no constant"
        return
    if file.constant_behind(node.input[0]) is not None:
        return
    if zero.dtype != np.uint8:
        yield f"{node.name}: its integers are {zero.dtype}, not uint8, which kernels on x86 take"
    if scale is not None and scale.size > 1:
        yield f"{node.name}: an activation has a scale per channel, not one per tensor"
    before = file.producer.get(node.input[0])
    if node.op_type == "DequantizeLinear" and before is not None and not _same(file, before, node):
        yield f"{node.name}: it does not have the scale and zero point of {before.name}, whose integers it reads"


def _in_weighted(file: OnnxFile, node: Any) -> Iterator[str]:
    for index, what in enumerate(("activation", "weight")):
        if file.dequantizer(node.input[index]) is None:
            yield f"{node.name}: its {what} is not quantized"
    if (weight := file.dequantizer(node.input[1])) is None:
        return
    yield from off_channels(file, node, weight)
    _, zero = _grid(file, weight)
    if zero is not None and zero.dtype != np.int8:
        yield f"{node.name}: its weight's integers are {zero.dtype}, not int8"
    elif zero is not None and zero.any():
        yield f"{node.name}: its weight's zero point is {zero[zero != 0].flat[0]}, not 0"
    if len(node.input) > 2:
        yield from _in_bias(file, node, weight)


def _in_bias(file: OnnxFile, node: Any, weight: Any) -> Iterator[str]:
    """A float constant, which the runtime rounds by itself; or what that would give."""
    bias, activation = file.dequantizer(node.input[2]), file.dequantizer(node.input[0])
    if bias is None:
        if file.constant_behind(node.input[2]) is None:
            yield f"{node.name}: its bias is no constant"
        return
    stored = file.constants.get(bias.input[0])
    if stored is None or stored.dtype != np.int32:
        yield f"{node.name}: its bias is {'computed' if stored is None else stored.dtype}, not float or int32"
        return
    scale, zero = _grid(file, bias)
    of_input = None if activation is None else _grid(file, activation)[0]
    of_weight = _grid(file, weight)[0]
    if of_input is None or of_weight is None:
        return  # said already
    if scale is None or not np.allclose(scale, of_input * of_weight, rtol=1e-5, atol=0):
        yield f"{node.name}: its bias's scale is not that of its input times those of its weight"
    if zero is not None and zero.any():
        yield f"{node.name}: its bias's zero point is {zero[zero != 0].flat[0]}, not 0"


def _in_result(file: OnnxFile, node: Any, readers: dict[str, list[Any]]) -> Iterator[str]:
    """An operator is computed on integers only with Q right behind it, or behind what that Q makes needless."""
    last, following = node, readers.get(node.output[0], [])
    if len(following) == 1 and following[0] is not None and following[0].op_type in _CUTS:
        last = following[0]
        following = readers.get(last.output[0], [])
    wrong = [each for each in following if each is None or each.op_type != "QuantizeLinear"]
    if wrong or not following:
        reader = "the network's output" if not wrong or wrong[0] is None else wrong[0].name
        yield f"{node.name}: its result is not quantized: {reader} takes it in float"
    elif last is not node:
        low, high = _cut(file, last)
        scale, zero = _grid(file, following[0])
        if scale is not None and zero is not None and scale.size == zero.size == 1:
            limits, step = np.iinfo(zero.dtype), np.float32(scale.item())
            ends = [np.float32(int(end) - int(zero.item())) * step for end in (limits.min, limits.max)]
            slack = np.finfo(np.float32).eps
            if ends[0] < low - slack or ends[1] > high + slack:
                yield (
                    f"{node.name}: {last.name} ({last.op_type}) cuts inside the range of {following[0].name}, "
                    f"{ends[0]:.6g} to {ends[1]:.6g}, and cannot be left out"
                )


def _cut(file: OnnxFile, node: Any) -> tuple[float, float]:
    if node.op_type == "Relu":
        return 0.0, float("inf")
    ends = [file.constants.get(value) for value in (*node.input[1:3], "", "")][:2]
    low, high = (
        default if end is None else float(end) for end, default in zip(ends, (-np.inf, np.inf), strict=True)
    )
    return low, high


def _in_moved(file: OnnxFile, node: Any, readers: dict[str, list[Any]]) -> Iterator[str]:
    before = file.producer.get(node.input[0])
    if before is None or before.op_type != "DequantizeLinear" or file.constant_behind(before.input[0]):
        return
    for value in node.output:
        for after in readers.get(value, []):
            if after is not None and after.op_type == "QuantizeLinear" and not _same(file, before, after):
                yield f"{node.name} ({node.op_type}): {after.name} has another scale or zero point than {before.name}"


def _in_joined(file: OnnxFile, node: Any, readers: dict[str, list[Any]]) -> Iterator[str]:
    """What becomes integers side by side is integers before, or is laid side by side in float."""
    following = readers.get(node.output[0], [])
    if not any(after is not None and after.op_type == "QuantizeLinear" for after in following):
        return
    parts = [value for value in node.input if file.constant_behind(value) is None]
    makers = [file.producer.get(value) for value in parts]
    quantized = [maker is not None and maker.op_type == "DequantizeLinear" for maker in makers]
    if any(quantized) and not all(quantized):
        yield f"{node.name} (Concat): {parts[quantized.index(False)]} is float beside integers"


def _grid(file: OnnxFile, node: Any) -> tuple[Array | None, Array | None]:
    zero = file.constants.get(node.input[2]) if len(node.input) > 2 else None
    return file.constants.get(node.input[1]), zero


def _same(file: OnnxFile, first: Any, second: Any) -> bool:
    """Whether two of Q and DQ speak of the same integers; true where one of them is not known."""
    for one, other in zip(_grid(file, first), _grid(file, second), strict=True):
        if (
            one is not None
            and other is not None
            and (one.dtype != other.dtype or not np.array_equal(one, other))
        ):
            return False
    return True
