"""PyTorch's weights into the layers of a Keras network, and back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from .described import Description, is_depthwise, layers_of

Array = np.ndarray[Any, Any]
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")


def load(model: Any, description: Description, weights: Mapping[str, Array]) -> None:
    """By PyTorch's names, into a network that `build` gave, or a stripped clone of it."""
    for operator, layers in weighted(model, description):
        held = {role: weights[name] for role, name in operator["weights"].items()}
        for place, layer in enumerate(layers):
            part = {role: np.split(value, len(layers))[place] for role, value in held.items()}
            layer.set_weights(_to_keras(operator, part))


def save(model: Any, description: Description) -> dict[str, Array]:
    """By PyTorch's names, in PyTorch's layouts."""
    found: dict[str, Array] = {}
    for operator, layers in weighted(model, description):
        parts = [_to_torch(operator, layer.get_weights()) for layer in layers]
        for role, name in operator["weights"].items():
            found[name] = np.ascontiguousarray(np.concatenate([part[role] for part in parts]))
    return found


def weighted(model: Any, description: Description) -> Iterator[tuple[dict[str, Any], list[Any]]]:
    """The operators with weights, and the layers that hold them."""
    for operator in description:
        if operator["weights"]:
            yield operator, [model.get_layer(name) for name in layers_of(operator)]


def _to_keras(operator: dict[str, Any], held: Mapping[str, Array]) -> list[Array]:
    if operator["op"].endswith("_channels"):
        return [held["value"].reshape(-1)]
    if operator["op"] == "batch_norm":
        return [held[role] for role in BATCH_NORM]
    weight, bias = held["weight"], [held["bias"]] if "bias" in held else []
    if operator["op"] == "linear":
        return [weight.T, *bias]
    if is_depthwise(operator):
        weight = weight.reshape(operator["options"]["groups"], -1, *weight.shape[2:])
        return [weight.transpose(2, 3, 0, 1), *bias]
    return [weight.transpose(2, 3, 1, 0), *bias]


def _to_torch(operator: dict[str, Any], values: list[Array]) -> dict[str, Array]:
    if operator["op"].endswith("_channels"):
        return {"value": values[0].reshape(1, -1, *[1] * (len(operator["shape"]) - 1))}
    if operator["op"] == "batch_norm":
        return dict(zip(BATCH_NORM, values, strict=True))
    named = dict(zip(("weight", "bias"), values, strict=False))
    weight = named["weight"]
    if operator["op"] == "linear":
        return {**named, "weight": weight.T}
    if is_depthwise(operator):
        moved = weight.transpose(2, 3, 0, 1)
        return {**named, "weight": moved.reshape(-1, 1, *weight.shape[:2])}
    return {**named, "weight": weight.transpose(3, 2, 0, 1)}
