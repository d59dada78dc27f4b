"""A Keras network of a description in PyTorch's terms: real layers, channels last."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from . import elementwise, layers, movement
from .builder import Builder, Laid
from .described import Description

_SIMPLE = ("sub", "hardsigmoid", "hardswish", "sigmoid", "silu", "tanh", "gelu", "same")
_MADE: dict[str, Callable[[Builder, dict[str, Any]], Laid]] = {
    **{kind: elementwise.simple(kind) for kind in _SIMPLE},
    "add": elementwise.add,
    "mul": elementwise.multiply,
    "relu": elementwise.relu,
    "relu6": elementwise.hardtanh,
    "hardtanh": elementwise.hardtanh,
    "leaky_relu": elementwise.leaky_relu,
    "softmax": elementwise.softmax,
    "conv2d": layers.conv2d,
    "linear": layers.linear,
    "batch_norm": layers.batch_norm,
    "mul_channels": layers.channels,
    "add_channels": layers.channels,
    "max_pool2d": layers.max_pool2d,
    "avg_pool2d": layers.avg_pool2d,
    "pad": layers.pad,
    "upsample_nearest2d": layers.resize("nearest"),
    "upsample_bilinear2d": layers.resize("bilinear"),
    "cat": movement.cat,
    "slice": movement.take,
    "permute": movement.permute,
    "reshape": movement.reshape,
    "mean": movement.mean,
}


def build(description: Description, batch: int | None = None) -> Any:
    """The network for (N, H, W, C) with random weights; a layer has its operator's name.

    An output of four axes is channels last too.
    """
    return Builder(batch).run(description, _MADE)
