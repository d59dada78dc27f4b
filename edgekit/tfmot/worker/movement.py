"""Operators that move values, or take means along axes."""

from __future__ import annotations

from typing import Any

from . import layout
from .builder import Builder, Laid, brought
from .keras import keras
from .layout import CHANNELS_LAST
from .operators import Operator


def cat(net: Builder, operator: dict[str, Any]) -> Laid:
    """Along an axis."""
    values, now = net.alike(operator)
    axis = now.index(operator["options"]["axis"])
    return keras.layers.Concatenate(axis=axis, name=operator["name"])(values), now


def take(net: Builder, operator: dict[str, Any]) -> Laid:
    """A run of an axis."""
    (value,), now = net.alike(operator)
    options = {**operator["options"], "axis": now.index(operator["options"]["axis"])}
    return Operator("slice", options, name=operator["name"])(value), now


def permute(net: Builder, operator: dict[str, Any]) -> Laid:
    """Nothing moves: axes have other places."""
    value, now = net.values[operator["inputs"][0]]
    return value, layout.permuted(now, operator["options"]["order"])


def reshape(net: Builder, operator: dict[str, Any]) -> Laid:
    """Axes are split and merged where they lie; those that become one are brought side by side first."""
    name, source = operator["name"], operator["inputs"][0]
    value, now = net.values[source]
    old, new = net.shapes[source], operator["shape"]
    runs = layout.groups(old, new)
    beside: list[int] = [0]
    after: list[int] = [0]
    for axis in now[1:]:
        ours, theirs = next(run for run in runs if axis in run[0])
        if axis not in beside:
            beside += ours
            after += theirs
    after += [axis for ours, theirs in runs if not ours for axis in theirs]  # of size 1
    value = brought(value, now, tuple(beside), f"{name}.in")
    shape = [new[axis - 1] for axis in after[1:]]
    return Operator("reshape", {"shape": shape}, name=name)(value), tuple(after)


def mean(net: Builder, operator: dict[str, Any]) -> Laid:
    """Along axes; over height and width as Keras's own layer."""
    name, axes, keep = operator["name"], operator["options"]["axes"], operator["options"]["keep"]
    value, now = net.values[operator["inputs"][0]]
    if now == CHANNELS_LAST and axes == [2, 3]:
        pooled = keras.layers.GlobalAveragePooling2D(keepdims=keep, name=name)(value)
        return pooled, now if keep else (0, 1)
    places = [now.index(axis) for axis in axes]
    result = Operator("mean", {"axis": places, "keepdims": keep}, name=name)(value)
    return result, now if keep else layout.without(now, axes)
