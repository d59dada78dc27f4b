"""What an IR lays side by side is rounded before that, not behind: where OpenVINO computes it on the way."""

from __future__ import annotations

from typing import Any

import numpy as np

MOVEMENT = (
    # Values that go in come out. Not Pad: OpenVINO takes no integers through it.
    *("Reshape", "Transpose", "Squeeze", "Unsqueeze", "ShuffleChannels"),
    *("Split", "VariadicSplit", "StridedSlice", "Slice", "Gather", "MaxPool"),
)


def round_parts(network: Any) -> None:
    """FakeQuantize of a Concat becomes one of each part, in place, where the part is computed.

    OpenVINO's own simplification drops those of the parts, as the one behind does the same. But what reads a part
    beside the Concat still wants it rounded: the convolution then gives floats, which two more operators round
    (GhostNet: 64 of them; docs/int8-peers.md).
    """
    for node in reversed(network.get_ordered_ops()):  # the last first: parts may be Concats themselves
        joined = node.input_value(0).get_node() if node.get_type_name() == "FakeQuantize" else None
        if (
            joined is None
            or joined.get_type_name() != "Concat"
            or len(joined.output(0).get_target_inputs()) > 1
        ):
            continue
        _round_inputs(joined, node)
        node.output(0).replace(joined.output(0))


def _round_inputs(node: Any, quantizer: Any) -> None:
    ports = range(node.get_input_size()) if node.get_type_name() == "Concat" else range(1)
    for port in ports:
        node.input(port).replace_source_output(_rounded(node.input_value(port), quantizer))


def _rounded(value: Any, quantizer: Any) -> Any:
    """The value on the quantizer's grid: what only moves values moves integers then."""
    source = value.get_node()
    if source.get_type_name() in (*MOVEMENT, "Concat"):
        _round_inputs(source, quantizer)
        return value
    for near in (source, *(each.get_node() for each in value.get_target_inputs())):
        if near.get_type_name() == "FakeQuantize" and _ends(near) == _ends(quantizer):
            return near.output(0)
    from openvino import opset13

    ends = [quantizer.input_value(place) for place in range(1, 5)]
    made = opset13.fake_quantize(value, *ends, levels=quantizer.get_attributes()["levels"])
    made.set_friendly_name(f"{source.get_friendly_name()}_rounded")
    return made.output(0)


def _ends(node: Any) -> list[float]:
    return [float(np.array(node.input_value(place).get_node().data).item()) for place in range(1, 5)]
