"""What a description says of an operator."""

from __future__ import annotations

from typing import Any

Operator = dict[str, Any]
Description = list[Operator]


def is_depthwise(operator: Operator) -> bool:
    """Whether a convolution has each channel for itself."""
    if operator["op"] != "conv2d":
        return False
    groups: int = operator["options"]["groups"]
    inputs: int = operator["options"]["inputs"]
    return 1 < groups == inputs


def layers_of(operator: Operator) -> list[str]:
    """The names of an operator's layers: one; of a grouped convolution, which TensorFlow cannot train, one a group."""
    groups = operator["options"].get("groups", 1)
    if operator["op"] != "conv2d" or groups == 1 or is_depthwise(operator):
        return [operator["name"]]
    return [f"{operator['name']}.{group}" for group in range(groups)]
