"""Operators that Keras has no layer for, as layers that keep their options: a model with them can be cloned."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .keras import keras, tf

Tensor = Any


class Operator(keras.layers.Layer):  # type: ignore[misc]
    """`kind` and its options on one tensor or several; no weights."""

    def __init__(self, kind: str, options: dict[str, Any], **base: Any) -> None:
        super().__init__(**base)
        self.kind, self.options = kind, options

    def call(self, inputs: Any) -> Tensor:
        """Apply it."""
        values = inputs if isinstance(inputs, list | tuple) else [inputs]
        return _KINDS[self.kind](*values, **self.options)

    def get_config(self) -> dict[str, Any]:
        """What a clone is made of."""
        return {**super().get_config(), "kind": self.kind, "options": dict(self.options)}


class PerChannel(keras.layers.Layer):  # type: ignore[misc]
    """`add` or `mul` of one number a channel, the last axis: a batch norm that no convolution took."""

    def __init__(self, kind: str, **base: Any) -> None:
        super().__init__(**base)
        self.kind = kind

    def build(self, input_shape: Any) -> None:
        """Make the numbers' place."""
        self.value = self.add_weight(name="value", shape=[input_shape[-1]])
        super().build(input_shape)

    def call(self, inputs: Tensor) -> Tensor:
        """Apply it."""
        return _KINDS[self.kind](inputs, self.value)

    def get_config(self) -> dict[str, Any]:
        """What a clone is made of."""
        return {**super().get_config(), "kind": self.kind}


def _reshape(x: Tensor, *, shape: list[int]) -> Tensor:
    return tf.reshape(x, [-1 if x.shape[0] is None else x.shape[0], *shape])


def _slice(x: Tensor, *, axis: int, start: int, end: int) -> Tensor:
    return x[(slice(None),) * axis + (slice(start, end),)]


def _hardtanh(x: Tensor, *, min_val: float, max_val: float) -> Tensor:
    return tf.clip_by_value(x, min_val, max_val)


def _resize(x: Tensor, *, size: list[int], corners: bool, method: str) -> Tensor:
    if method == "nearest":
        return tf.compat.v1.image.resize_nearest_neighbor(x, size)
    return tf.raw_ops.ResizeBilinear(
        images=x, size=size, align_corners=corners, half_pixel_centers=not corners
    )


_KINDS: dict[str, Callable[..., Tensor]] = {
    "add": lambda x, y=None, value=None: x + (value if y is None else y),
    "mul": lambda x, y=None, value=None: x * (value if y is None else y),
    "sub": lambda x, y=None, value=None: x - (value if y is None else y),
    "hardtanh": _hardtanh,
    "hardsigmoid": lambda x: tf.nn.relu6(x + 3.0) * (1 / 6),
    "hardswish": lambda x: x * tf.nn.relu6(x + 3.0) * (1 / 6),
    "sigmoid": tf.nn.sigmoid,
    "silu": tf.nn.silu,
    "tanh": tf.nn.tanh,
    "gelu": lambda x, approximate: tf.nn.gelu(x, approximate=approximate == "tanh"),
    "leaky_relu": tf.nn.leaky_relu,
    "softmax": tf.nn.softmax,
    "reshape": _reshape,
    "transpose": tf.transpose,
    "slice": _slice,
    "mean": tf.reduce_mean,
    "pad": tf.pad,
    "resize": _resize,
    "same": tf.identity,
}
OPERATORS = {"Operator": Operator, "PerChannel": PerChannel}
