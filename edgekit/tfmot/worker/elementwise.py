"""Operators that compute every value for itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .builder import Builder, Laid
from .keras import keras
from .operators import Operator


def simple(kind: str) -> Callable[[Builder, dict[str, Any]], Laid]:
    """What computes every value for itself, or two tensors' side by side."""

    def call(net: Builder, operator: dict[str, Any]) -> Laid:
        values, now = net.alike(operator)
        return Operator(kind, operator["options"], name=operator["name"])(values), now

    return call


def add(net: Builder, operator: dict[str, Any]) -> Laid:
    """Two tensors, or one and a number."""
    if len(operator["inputs"]) == 1 or len(set(operator["inputs"])) == 1:
        return simple("add")(net, operator)
    values, now = net.alike(operator)
    return keras.layers.Add(name=operator["name"])(values), now


def multiply(net: Builder, operator: dict[str, Any]) -> Laid:
    """Two tensors, or one and a number."""
    if len(operator["inputs"]) == 1:
        return simple("mul")(net, operator)
    values, now = net.alike(operator)
    return keras.layers.Multiply(name=operator["name"])(values), now


def relu(net: Builder, operator: dict[str, Any]) -> Laid:
    """max(x, 0)."""
    (value,), now = net.alike(operator)
    return keras.layers.ReLU(name=operator["name"])(value), now


def hardtanh(net: Builder, operator: dict[str, Any]) -> Laid:
    """Between two bounds: from 0 on a ReLU, which Keras and LiteRT know."""
    low, high = operator["options"].get("min_val", 0), operator["options"].get("max_val", 6)
    if low != 0:
        return simple("hardtanh")(net, operator)
    (value,), now = net.alike(operator)
    return keras.layers.ReLU(float(high), name=operator["name"])(value), now


def leaky_relu(net: Builder, operator: dict[str, Any]) -> Laid:
    """With its slope."""
    (value,), now = net.alike(operator)
    slope = operator["options"]["negative_slope"]
    return Operator("leaky_relu", {"alpha": slope}, name=operator["name"])(value), now


def softmax(net: Builder, operator: dict[str, Any]) -> Laid:
    """Along an axis."""
    (value,), now = net.alike(operator)
    axis = now.index(operator["options"]["axis"])
    return Operator("softmax", {"axis": axis}, name=operator["name"])(value), now
