"""Layers with weights, and those that look at neighbours: channels last."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from . import layout
from .builder import Builder, Laid, Tensor, brought
from .described import is_depthwise, layers_of
from .keras import keras
from .layout import CHANNELS_LAST
from .operators import Operator, PerChannel

MOMENTUM = 0.9
"""Of batch norms' running averages; PyTorch counts the other way round, 0.1."""


def conv2d(net: Builder, operator: dict[str, Any]) -> Laid:
    """A convolution, a depthwise one, or one layer a group."""
    name, options = operator["name"], operator["options"]
    value, padding = _padded(net, operator)
    how = {
        "kernel_size": options["kernel"],
        "strides": options["stride"],
        "dilation_rate": options["dilation"],
        "padding": padding,
        "use_bias": "bias" in operator["weights"],
    }
    outputs = operator["shape"][0]
    if is_depthwise(operator):
        times = outputs // options["inputs"]
        return keras.layers.DepthwiseConv2D(depth_multiplier=times, name=name, **how)(value), CHANNELS_LAST
    names = layers_of(operator)
    if len(names) == 1:
        return keras.layers.Conv2D(outputs, name=name, **how)(value), CHANNELS_LAST
    step, parts = options["inputs"] // len(names), []
    for place, part in enumerate(names):
        taken = {"axis": 3, "start": place * step, "end": (place + 1) * step}
        own = Operator("slice", taken, name=f"{part}.in")(value)
        parts.append(keras.layers.Conv2D(outputs // len(names), name=part, **how)(own))
    return keras.layers.Concatenate(axis=3, name=name)(parts), CHANNELS_LAST


def _padded(net: Builder, operator: dict[str, Any]) -> tuple[Tensor, str]:
    """A convolution's input and Keras's word for its padding: `same` pads as PyTorch does at stride 1 alone."""
    name, options = operator["name"], operator["options"]
    value = net.usual(operator["inputs"][0], f"{name}.in")
    height, width = options["padding"]
    if height == width == 0:
        return value, "valid"
    reach = [d * (k - 1) for d, k in zip(options["dilation"], options["kernel"], strict=True)]
    if options["stride"] == [1, 1] and reach == [2 * height, 2 * width]:
        return value, "same"
    around = ((height, height), (width, width))
    return keras.layers.ZeroPadding2D(around, name=f"{name}.pad")(value), "valid"


def linear(net: Builder, operator: dict[str, Any]) -> Laid:
    """A linear layer on the last axis."""
    name = operator["name"]
    value, now = net.values[operator["inputs"][0]]
    wanted = tuple(range(len(now)))
    layer = keras.layers.Dense(operator["shape"][-1], use_bias="bias" in operator["weights"], name=name)
    return layer(brought(value, now, wanted, f"{name}.in")), wanted


def batch_norm(net: Builder, operator: dict[str, Any]) -> Laid:
    """Over channels."""
    name = operator["name"]
    value = net.usual(operator["inputs"][0], f"{name}.in")
    layer = keras.layers.BatchNormalization(epsilon=operator["options"]["eps"], momentum=MOMENTUM, name=name)
    return layer(value), layout.usual(len(operator["shape"]) + 1)


def channels(net: Builder, operator: dict[str, Any]) -> Laid:
    """One number a channel."""
    name = operator["name"]
    value = net.usual(operator["inputs"][0], f"{name}.in")
    kind = operator["op"].removesuffix("_channels")
    return PerChannel(kind, name=name)(value), layout.usual(len(operator["shape"]) + 1)


def max_pool2d(net: Builder, operator: dict[str, Any]) -> Laid:
    """With what it pads, and what a window that is rounded up to reads beyond."""
    name, options = operator["name"], operator["options"]
    value = net.usual(operator["inputs"][0], f"{name}.in")
    around = [[pad, pad + more] for pad, more in zip(options["padding"], options["beyond"], strict=True)]
    if any(map(any, around)):
        # Zeros are no less than what a ReLU gives, and LiteRT's delegate computes them.
        lowest = 0.0 if net.kinds[operator["inputs"][0]] in ("relu", "relu6") else -math.inf
        how = {"paddings": [[0, 0], *around, [0, 0]], "constant_values": lowest}
        value = Operator("pad", how, name=f"{name}.pad")(value)
    layer = keras.layers.MaxPooling2D(options["kernel"], options["stride"], name=name)
    return layer(value), CHANNELS_LAST


def avg_pool2d(net: Builder, operator: dict[str, Any]) -> Laid:
    """The zeros around are counted."""
    name, options = operator["name"], operator["options"]
    value = net.usual(operator["inputs"][0], f"{name}.in")
    height, width = options["padding"]
    if height or width:
        value = keras.layers.ZeroPadding2D(((height, height), (width, width)), name=f"{name}.pad")(value)
    layer = keras.layers.AveragePooling2D(options["kernel"], options["stride"], name=name)
    return layer(value), CHANNELS_LAST


def pad(net: Builder, operator: dict[str, Any]) -> Laid:
    """Height and width."""
    name, options = operator["name"], operator["options"]
    value = net.usual(operator["inputs"][0], f"{name}.in")
    height, width = [options["top"], options["bottom"]], [options["left"], options["right"]]
    if options["value"] == 0:
        return keras.layers.ZeroPadding2D((tuple(height), tuple(width)), name=name)(value), CHANNELS_LAST
    how = {"paddings": [[0, 0], height, width, [0, 0]], "constant_values": options["value"]}
    return Operator("pad", how, name=name)(value), CHANNELS_LAST


def resize(method: str) -> Callable[[Builder, dict[str, Any]], Laid]:
    """To a size: `nearest` or `bilinear`."""

    def call(net: Builder, operator: dict[str, Any]) -> Laid:
        name = operator["name"]
        value = net.usual(operator["inputs"][0], f"{name}.in")
        return Operator("resize", {**operator["options"], "method": method}, name=name)(value), CHANNELS_LAST

    return call
