"""A Keras network of a description in PyTorch's terms: real layers, channels last."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from . import layout
from .keras import keras
from .layout import CHANNELS_LAST, Layout
from .operators import Operator, PerChannel

Tensor = Any
Description = list[dict[str, Any]]
MOMENTUM = 0.9
"""Of batch norms' running averages; PyTorch counts the other way round, 0.1."""


def build(description: Description, batch: int | None = None) -> Any:
    """The network for (N, H, W, C) with random weights; a layer has its operator's name.

    An output of four axes is channels last too.
    """
    return _Builder(batch).run(description)


def is_depthwise(operator: dict[str, Any]) -> bool:
    """Whether a convolution has each channel for itself."""
    options = operator["options"]
    return operator["op"] == "conv2d" and 1 < options["groups"] == options["inputs"]


def layers_of(operator: dict[str, Any]) -> list[str]:
    """The names of an operator's layers: one; of a grouped convolution, whose training TensorFlow lacks, one a group."""
    groups = operator["options"].get("groups", 1)
    if operator["op"] != "conv2d" or groups == 1 or is_depthwise(operator):
        return [operator["name"]]
    return [f"{operator['name']}.{group}" for group in range(groups)]


class _Builder:
    def __init__(self, batch: int | None) -> None:
        self.batch = batch
        self.values: dict[str, tuple[Tensor, Layout]] = {}
        self.shapes: dict[str, list[int]] = {}
        self.kinds: dict[str, str] = {}

    def run(self, description: Description) -> Any:
        inputs = []
        for operator in description:
            name, shape = operator["name"], operator["shape"]
            self.shapes[name], self.kinds[name] = shape, operator["op"]
            if operator["op"] == "input":
                channels, height, width = shape
                value = keras.Input((height, width, channels), batch_size=self.batch, name=name)
                inputs.append(value)
                self.values[name] = value, CHANNELS_LAST
            else:
                self.values[name] = _OPERATORS[operator["op"]](self, operator)
        last = description[-1]["name"]
        return keras.Model(inputs, self.usual(last, f"{last}.out"))

    def usual(self, source: str, name: str) -> Tensor:
        """A tensor in Keras's layout, brought there under a name where it has another."""
        value, now = self.values[source]
        return self.brought(value, now, layout.usual(len(now)), name)

    def brought(self, value: Tensor, now: Layout, wanted: Layout, name: str) -> Tensor:
        if now == wanted:
            return value
        return Operator("transpose", {"perm": layout.order(now, wanted)}, name=name)(value)

    def alike(self, operator: dict[str, Any]) -> tuple[list[Tensor], Layout]:
        """An operator's inputs in one layout."""
        name, sources = operator["name"], operator["inputs"]
        _, wanted = self.values[sources[0]]
        values = [
            self.brought(*self.values[source], wanted, f"{name}.in{place}")
            for place, source in enumerate(sources)
        ]
        return values, wanted


def _simple(kind: str) -> Callable[[_Builder, dict[str, Any]], tuple[Tensor, Layout]]:
    """What computes every value for itself, or two tensors' side by side."""

    def call(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
        values, now = self.alike(operator)
        return Operator(kind, operator["options"], name=operator["name"])(values), now

    return call


def _sum(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    if len(operator["inputs"]) == 1 or len(set(operator["inputs"])) == 1:
        return _simple("add")(self, operator)
    values, now = self.alike(operator)
    return keras.layers.Add(name=operator["name"])(values), now


def _product(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    if len(operator["inputs"]) == 1:
        return _simple("mul")(self, operator)
    values, now = self.alike(operator)
    return keras.layers.Multiply(name=operator["name"])(values), now


def _relu(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    (value,), now = self.alike(operator)
    return keras.layers.ReLU(name=operator["name"])(value), now


def _hardtanh(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    low, high = operator["options"].get("min_val", 0), operator["options"].get("max_val", 6)
    if low != 0:
        return _simple("hardtanh")(self, operator)
    (value,), now = self.alike(operator)
    return keras.layers.ReLU(float(high), name=operator["name"])(value), now


def _leaky_relu(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    (value,), now = self.alike(operator)
    slope = operator["options"]["negative_slope"]
    return Operator("leaky_relu", {"alpha": slope}, name=operator["name"])(value), now


def _softmax(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    (value,), now = self.alike(operator)
    axis = now.index(operator["options"]["axis"])
    return Operator("softmax", {"axis": axis}, name=operator["name"])(value), now


def _conv2d(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    name, options = operator["name"], operator["options"]
    value, padding = _padded(self, operator)
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


def _padded(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, str]:
    """A convolution's input and Keras's word for its padding: `same` pads as PyTorch does at stride 1 alone."""
    name, options = operator["name"], operator["options"]
    value = self.usual(operator["inputs"][0], f"{name}.in")
    height, width = options["padding"]
    if height == width == 0:
        return value, "valid"
    reach = [d * (k - 1) for d, k in zip(options["dilation"], options["kernel"], strict=True)]
    if options["stride"] == [1, 1] and reach == [2 * height, 2 * width]:
        return value, "same"
    around = ((height, height), (width, width))
    return keras.layers.ZeroPadding2D(around, name=f"{name}.pad")(value), "valid"


def _linear(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    name = operator["name"]
    value, now = self.values[operator["inputs"][0]]
    wanted = tuple(range(len(now)))
    layer = keras.layers.Dense(operator["shape"][-1], use_bias="bias" in operator["weights"], name=name)
    return layer(self.brought(value, now, wanted, f"{name}.in")), wanted


def _batch_norm(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    name = operator["name"]
    value = self.usual(operator["inputs"][0], f"{name}.in")
    layer = keras.layers.BatchNormalization(epsilon=operator["options"]["eps"], momentum=MOMENTUM, name=name)
    return layer(value), layout.usual(len(operator["shape"]) + 1)


def _channels(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    name = operator["name"]
    value = self.usual(operator["inputs"][0], f"{name}.in")
    kind = operator["op"].removesuffix("_channels")
    return PerChannel(kind, name=name)(value), layout.usual(len(operator["shape"]) + 1)


def _cat(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    values, now = self.alike(operator)
    axis = now.index(operator["options"]["axis"])
    return keras.layers.Concatenate(axis=axis, name=operator["name"])(values), now


def _slice(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    (value,), now = self.alike(operator)
    options = {**operator["options"], "axis": now.index(operator["options"]["axis"])}
    return Operator("slice", options, name=operator["name"])(value), now


def _permute(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    value, now = self.values[operator["inputs"][0]]
    return value, layout.permuted(now, operator["options"]["order"])


def _reshape(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    """Axes are split and merged where they lie; those that become one are brought side by side first."""
    name, source = operator["name"], operator["inputs"][0]
    value, now = self.values[source]
    old, new = self.shapes[source], operator["shape"]
    runs = layout.groups(old, new)
    beside: list[int] = [0]
    after: list[int] = [0]
    for axis in now[1:]:
        ours, theirs = next(run for run in runs if axis in run[0])
        if axis not in beside:
            beside += ours
            after += theirs
    after += [axis for ours, theirs in runs if not ours for axis in theirs]  # of size 1
    value = self.brought(value, now, tuple(beside), f"{name}.in")
    shape = [new[axis - 1] for axis in after[1:]]
    return Operator("reshape", {"shape": shape}, name=name)(value), tuple(after)


def _mean(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    name, axes, keep = operator["name"], operator["options"]["axes"], operator["options"]["keep"]
    value, now = self.values[operator["inputs"][0]]
    if now == CHANNELS_LAST and axes == [2, 3]:
        pooled = keras.layers.GlobalAveragePooling2D(keepdims=keep, name=name)(value)
        return pooled, now if keep else (0, 1)
    places = [now.index(axis) for axis in axes]
    result = Operator("mean", {"axis": places, "keepdims": keep}, name=name)(value)
    return result, now if keep else layout.without(now, axes)


def _max_pool2d(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    name, options = operator["name"], operator["options"]
    value = self.usual(operator["inputs"][0], f"{name}.in")
    around = [[pad, pad + more] for pad, more in zip(options["padding"], options["beyond"], strict=True)]
    if any(map(any, around)):
        # Zeros are no less than what a ReLU gives, and LiteRT's delegate computes them.
        lowest = 0.0 if self.kinds[operator["inputs"][0]] in ("relu", "relu6") else -math.inf
        how = {"paddings": [[0, 0], *around, [0, 0]], "constant_values": lowest}
        value = Operator("pad", how, name=f"{name}.pad")(value)
    layer = keras.layers.MaxPooling2D(options["kernel"], options["stride"], name=name)
    return layer(value), CHANNELS_LAST


def _avg_pool2d(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    name, options = operator["name"], operator["options"]
    value = self.usual(operator["inputs"][0], f"{name}.in")
    height, width = options["padding"]
    if height or width:
        value = keras.layers.ZeroPadding2D(((height, height), (width, width)), name=f"{name}.pad")(value)
    layer = keras.layers.AveragePooling2D(options["kernel"], options["stride"], name=name)
    return layer(value), CHANNELS_LAST


def _pad(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
    name, options = operator["name"], operator["options"]
    value = self.usual(operator["inputs"][0], f"{name}.in")
    height, width = [options["top"], options["bottom"]], [options["left"], options["right"]]
    if options["value"] == 0:
        return keras.layers.ZeroPadding2D((tuple(height), tuple(width)), name=name)(value), CHANNELS_LAST
    how = {"paddings": [[0, 0], height, width, [0, 0]], "constant_values": options["value"]}
    return Operator("pad", how, name=name)(value), CHANNELS_LAST


def _resize(method: str) -> Callable[[_Builder, dict[str, Any]], tuple[Tensor, Layout]]:
    def call(self: _Builder, operator: dict[str, Any]) -> tuple[Tensor, Layout]:
        name = operator["name"]
        value = self.usual(operator["inputs"][0], f"{name}.in")
        return Operator("resize", {**operator["options"], "method": method}, name=name)(value), CHANNELS_LAST

    return call


_SIMPLE: Sequence[str] = ("sub", "hardsigmoid", "hardswish", "sigmoid", "silu", "tanh", "gelu", "same")
_OPERATORS: dict[str, Callable[[_Builder, dict[str, Any]], tuple[Tensor, Layout]]] = {
    **{kind: _simple(kind) for kind in _SIMPLE},
    "add": _sum,
    "mul": _product,
    "relu": _relu,
    "relu6": _hardtanh,
    "hardtanh": _hardtanh,
    "leaky_relu": _leaky_relu,
    "softmax": _softmax,
    "conv2d": _conv2d,
    "linear": _linear,
    "batch_norm": _batch_norm,
    "mul_channels": _channels,
    "add_channels": _channels,
    "cat": _cat,
    "slice": _slice,
    "permute": _permute,
    "reshape": _reshape,
    "mean": _mean,
    "max_pool2d": _max_pool2d,
    "avg_pool2d": _avg_pool2d,
    "pad": _pad,
    "upsample_nearest2d": _resize("nearest"),
    "upsample_bilinear2d": _resize("bilinear"),
}
KINDS = frozenset(_OPERATORS)
