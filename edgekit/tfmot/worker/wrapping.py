"""Which layers the toolkit's wrappers go around, and a network with them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .described import Description, is_depthwise, layers_of
from .keras import keras


def choose(description: Description, how: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """The layers that can carry what was asked for, and for each other one with weights why it cannot."""
    can: list[str] = []
    cannot: dict[str, str] = {}
    for operator in description:
        if operator["op"] not in ("conv2d", "linear"):
            continue
        reason = _obstacle(operator, how)
        if reason:
            cannot[operator["name"]] = reason
        else:
            can += layers_of(operator)
    return can, cannot


def _obstacle(operator: dict[str, Any], how: dict[str, Any]) -> str:
    layer = operator["weights"]["weight"].removesuffix(".weight")
    if any(layer == name or layer.startswith(f"{name}.") for name in how["protect"]):
        return "protected"
    if is_depthwise(operator):
        return "depthwise"
    if len(layers_of(operator)) > 1:
        return "grouped"
    if how.get("m_by_n"):
        among, inputs = how["m_by_n"][1], _inputs(operator)
        if inputs % among:
            return f"{inputs} input channels are no multiple of {among}"
    return ""


def _inputs(operator: dict[str, Any]) -> int:
    return int(operator["options"]["inputs"])


def wrapped(model: Any, names: set[str], wrap: Callable[[Any], Any]) -> Any:
    """The network with wrappers around the layers of these names; `model` is used up, because layers are shared."""

    def clone(layer: Any) -> Any:
        return wrap(layer) if layer.name in names else layer

    return keras.models.clone_model(model, clone_function=clone)
