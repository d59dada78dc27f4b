"""The rules under which OpenVINO computes an IR on 8-bit integers, checked by reading it, without compiling it.

After OpenVINO's operation specification FakeQuantize-1 (levels, ranges), "Representation of low-precision models"
(weights as i8 constants behind Convert and Multiply) and "OpenVINO Low Precision Transformations" (zero on the grid,
one range for what is concatenated, nothing between a convolution and the activation computed in it).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.exporters.openvino import read, weighted_operators
from edgekit.exporters.openvino_concat import MOVEMENT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from edgekit.parity import Array
    from edgekit.target import FileRules

TITLE = "OpenVINO's low-precision models"
_LEVELS = 256
_FUSED = ("Relu", "Clamp", "HSwish", "HSigmoid", "Sigmoid", "Swish", "Gelu", "Elu", "PRelu")
_DECOMPRESSED = ("Convert", "Multiply", "Subtract", "Reshape", "Transpose", "Unsqueeze", "Squeeze")
"""What stands between an integer constant and the operator that it is a weight of."""
_STEP = 1e-3
"""Of a step of the grid: how far from a whole number float32 may put the zero point."""


def breaches(path: Path, rules: FileRules) -> list[str]:  # noqa: ARG001 (all checkers take them)
    """Every rule that a quantized IR breaks, with the operator that breaks it; empty where it meets all.

    Raises `MissingError` without openvino.
    """
    network = read(path)
    weighted = {operator.get_friendly_name(): constant for operator, constant in weighted_operators(network)}
    found: list[str] = []
    for node in network.get_ordered_ops():
        name, kind = str(node.get_friendly_name()), node.get_type_name()
        if name in weighted:
            found.extend(_in_weighted(node, weighted[name]))
        elif kind == "FakeQuantize":
            found.extend(_in_quantizer(node))
            found.extend(_in_place(node, weighted))
        elif kind == "Concat":
            found.extend(_in_joined(node, weighted))
    return found


def _in_quantizer(node: Any) -> Iterator[str]:
    name, levels = node.get_friendly_name(), int(node.get_attributes()["levels"])
    if levels != _LEVELS:
        yield f"{name}: {levels} levels, not the {_LEVELS} of 8-bit integers"
    ends = _ends(node)
    if ends is None:
        yield f"{name}: its range is no constant"
    elif any(end.size != 1 for end in ends):
        yield f"{name}: an activation has a range per channel, not one per tensor"
    else:
        low, high = (float(end.reshape(-1)[0]) for end in ends[:2])
        if not (np.isfinite([low, high]).all() and low < high):
            yield f"{name}: its range {low:.6g} to {high:.6g} is none"
        else:
            zero = -low / (high - low) * (_LEVELS - 1)
            if abs(zero - round(zero)) > _STEP or not 0 <= round(zero) < _LEVELS:
                yield f"{name}: zero does not lie on its grid of {low:.6g} to {high:.6g}"


def _in_weighted(node: Any, constant: Any) -> Iterator[str]:
    name = node.get_friendly_name()
    if not _quantizers(_source(node, 0)):
        yield f"{name}: its activation is not quantized"
    kind = constant.get_element_type().get_type_name()
    if kind != "i8":
        yield f"{name}: its weight is stored as {kind}, not i8"
        return
    for step in _between(node, constant):
        if step.get_type_name() == "Subtract" and (zero := _constant(step, 1)) is not None and zero.any():
            yield f"{name}: its weight's zero point is {zero[zero != 0].flat[0]:.6g}, not 0"
        elif step.get_type_name() == "Multiply":
            yield from _in_scale(node, step)
    for after in _readers(node):
        if after.get_type_name() == "Add" and any(_stored(_source(after, port)) for port in (0, 1)):
            yield f"{name}: its bias is quantized"


def _in_scale(node: Any, step: Any) -> Iterator[str]:
    """One positive scale for each output channel."""
    name, scale = node.get_friendly_name(), _constant(step, 1)
    if scale is None or not (np.isfinite(scale) & (scale > 0)).all():
        yield f"{name}: its weight's scale is no positive constant"
        return
    shape = list(node.output(0).get_partial_shape())
    channels = shape[-1 if node.get_type_name() == "MatMul" else 1].get_length()
    rank = len(step.output(0).get_partial_shape())
    filled = {rank - scale.ndim + axis for axis, size in enumerate(scale.shape) if size > 1}
    if scale.size != channels:
        yield f"{name}: its weight has {scale.size} scales for {channels} output channels"
    elif wrong := filled - _channel_axes(node, step, rank):
        yield f"{name}: its weight's scales lie along axis {min(wrong)}, not along output channels"


def _channel_axes(node: Any, step: Any, rank: int) -> set[int]:
    """The axes that count output channels where a weight is scaled: a grouped one may have two."""
    kind = node.get_type_name()
    if kind != "MatMul":
        return {1} if kind == "ConvolutionBackpropData" else {0, 1} if kind.startswith("Group") else {0}
    turned, source = bool(node.get_attributes()["transpose_b"]), _source(node, 1)
    while source.get_friendly_name() != step.get_friendly_name():
        turned ^= source.get_type_name() == "Transpose"
        source = _source(source, 0)
    return {rank - 2 if turned else rank - 1}


def _in_place(node: Any, weighted: dict[str, Any]) -> Iterator[str]:
    """Q between a weighted operator and the activation that would be computed in it, read by nothing else."""
    before, readers = _source(node, 0), _readers(node)
    if before.get_type_name() == "Add" and _constant(before, 1) is not None:
        before = _source(before, 0)
    if before.get_friendly_name() not in weighted or len(readers) != 1:
        return
    if (after := readers[0]).get_type_name() in _FUSED:
        yield (
            f"{before.get_friendly_name()}: {node.get_friendly_name()} stands between it and "
            f"{after.get_friendly_name()} ({after.get_type_name()})"
        )


def _in_joined(node: Any, weighted: dict[str, Any]) -> Iterator[str]:
    if not _feeds_integers(node, weighted):
        return
    sources = [value.get_node() for value in node.input_values()]
    found = [_quantizers(source) for source in sources if source.get_type_name() != "Constant"]
    name = f"{node.get_friendly_name()} (Concat)"
    if any(found) and not all(found):
        at = next(source for source, each in zip(sources, found, strict=False) if not each)
        yield f"{name}: {at.get_friendly_name()} is float beside integers"
        return
    ranges = {
        tuple(float(end.reshape(-1)[0]) for end in ends[2:])
        for each in found
        for ends in map(_ends, each)
        if ends
    }
    if len(ranges) > 1:
        told = ", ".join(f"{low:.6g} to {high:.6g}" for low, high in sorted(ranges))
        yield f"{name}: its parts have several ranges: {told}"


def _feeds_integers(node: Any, weighted: dict[str, Any]) -> bool:
    """Whether what is laid side by side is an integer again, or read as one; if not, it may well be float."""
    return any(
        reader.get_type_name() == "FakeQuantize"
        or reader.get_friendly_name() in weighted
        or (reader.get_type_name() in (*MOVEMENT, "Concat") and _feeds_integers(reader, weighted))
        for reader in _readers(node)
    )


def _quantizers(node: Any) -> list[Any]:
    """The FakeQuantize operators whose integers a tensor holds, seen through movement; none where it is float."""
    kind = node.get_type_name()
    if kind == "FakeQuantize":
        return [node]
    if kind == "Concat":
        parts = [_quantizers(value.get_node()) for value in node.input_values()]
        return [each for part in parts for each in part] if all(parts) else []
    return _quantizers(_source(node, 0)) if kind in MOVEMENT else []


def _between(node: Any, constant: Any) -> Iterator[Any]:
    """The operators between a weight's constant and the operator that it is the weight of."""
    step = _source(node, 1)
    while step.get_friendly_name() != constant.get_friendly_name() and step.get_type_name() in _DECOMPRESSED:
        yield step
        step = _source(step, 0)


def _stored(node: Any) -> bool:
    """Whether a tensor is a constant that is stored in integers."""
    while node.get_type_name() in _DECOMPRESSED:
        node = _source(node, 0)
    return node.get_type_name() == "Constant" and node.get_element_type().get_type_name() in (
        "i8",
        "u8",
        "i32",
    )


def _ends(node: Any) -> list[Array] | None:
    ends = [_constant(node, port) for port in range(1, 5)]
    return None if any(end is None for end in ends) else ends  # type: ignore[return-value]


def _constant(node: Any, port: int) -> Array | None:
    source = _source(node, port)
    while source.get_type_name() in ("Convert", "Reshape"):
        source = _source(source, 0)
    return np.array(source.data) if source.get_type_name() == "Constant" else None


def _source(node: Any, port: int) -> Any:
    return node.input_value(port).get_node()


def _readers(node: Any) -> list[Any]:
    return [each.get_node() for output in node.outputs() for each in output.get_target_inputs()]
