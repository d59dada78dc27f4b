"""Where the scales of a weight lie in an ONNX file, seen through the transposes before the product."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.exporters.onnx_read import OnnxFile

CONVOLUTIONS = ("Conv", "ConvTranspose")
QDQ = ("QuantizeLinear", "DequantizeLinear")


def off_channels(file: OnnxFile, node: Any, weight: Any) -> Iterator[str]:
    """What is wrong with the scales of a weighted operator's weight, `weight` its DequantizeLinear."""
    scale = file.constants.get(weight.input[1])
    if scale is None:
        return
    axis = next((attribute.i for attribute in weight.attribute if attribute.name == "axis"), 1)
    axis = _transposed(file, node.input[1], axis)
    if node.op_type in CONVOLUTIONS and scale.ndim == 0:
        yield f"{node.name}: its weight has one scale, not one per output channel"
    elif scale.ndim and axis != _output_axis(file, node):
        yield f"{node.name}: its weight's scales lie along axis {axis}, not along output channels"


def _transposed(file: OnnxFile, value: str, axis: int) -> int:
    """Where an axis of a linear layer's weight lies once the transposes before the product have run."""
    producer = file.producer.get(value)
    if producer is None or producer.op_type != "Transpose":
        return axis
    axis = _transposed(file, producer.input[0], axis)
    order = next(
        (list(attribute.ints) for attribute in producer.attribute if attribute.name == "perm"), [1, 0]
    )
    return order.index(axis)


def _output_axis(file: OnnxFile, node: Any) -> int:
    attributes = {attribute.name: attribute.i for attribute in node.attribute}
    if node.op_type == "ConvTranspose":
        name = file.constant_behind(node.input[1])
        assert name is not None
        return 0 if file.constants[name].shape[0] == attributes.get("group", 1) > 1 else 1
    return 0 if node.op_type == "Conv" or attributes.get("transB", 0) else 1
