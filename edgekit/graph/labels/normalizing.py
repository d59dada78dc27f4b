"""Normalizations: parameters go with their channels; a softmax needs all that it normalizes."""

from __future__ import annotations

import torch
from torch import fx

from edgekit.graph.labels.value import Value, vector
from edgekit.graph.labels.walk import MisfitError, Result, Rule, Walk
from edgekit.graph.trace import arguments, layer_of, shape_of

PER_CHANNEL = ("weight", "bias", "running_mean", "running_var")


def _per_channel(walk: Walk, node: fx.Node) -> Result:
    """Batch and instance norm: one set of parameters per channel of axis 1."""
    call = arguments(node)
    value = walk.value(call["input"])
    if (tokens := walk.along(value, 1, node)) is not None:
        rows = tokens[None]
        for name in PER_CHANNEL:
            walk.use(node, call.get(name), 0, rows)
    return value


def _layer_norm(walk: Walk, node: fx.Node) -> Result:
    """Statistics over the last axes, over the channels that are kept; parameters of their shape."""
    call = arguments(node)
    value, normalized = walk.value(call["input"]), len(call["normalized_shape"])
    first = value.rank - normalized
    for axis in range(first, value.rank):
        if value.at(axis):
            tokens = walk.along(value, axis, node)
            walk.use(node, call["weight"], axis - first, tokens)
            walk.use(node, call.get("bias"), axis - first, tokens)
    walk.resize(node, normalized_shape=list(value.shape[first:]))
    return value


def _group_norm(walk: Walk, node: fx.Node) -> Result:
    """Statistics per group of channels, equally many in each; a group for each channel stays one."""
    call = arguments(node)
    value, groups = walk.value(call["input"]), call["num_groups"]
    tokens = walk.along(value, 1, node)
    if tokens is None:
        return value
    if groups == shape_of(call["input"])[1]:
        walk.resize(node, num_groups=len(tokens))
    elif groups > 1:
        if len(tokens) % groups:
            raise MisfitError(f"{layer_of(node)} cannot cut {len(tokens)} channels into {groups} groups")
        tokens = walk.step(tokens.reshape(groups, -1), torch.arange(groups)[:, None], 1, node).flatten()
    walk.use(node, call["weight"], 0, tokens)
    walk.use(node, call["bias"], 0, tokens)
    others = tuple(plane for plane in value.planes if plane.axis != 1)
    return Value(value.shape, (vector(tokens, 1, value.rank), *others))


def _softmax(walk: Walk, node: fx.Node) -> Result:
    call = arguments(node)
    value = walk.value(call.get("self", call.get("input")))
    axis = call["dim"] % value.rank
    for plane in value.planes:
        if plane.axis == axis:
            walk.freeze(plane.tokens, f"softmax at {layer_of(node)}")
        else:
            walk.level(plane, axis, node)
    return value


RULES: dict[str, Rule] = {
    "batch_norm": _per_channel,
    "instance_norm": _per_channel,
    "layer_norm": _layer_norm,
    "rms_norm": _layer_norm,
    "group_norm": _group_norm,
    "softmax": _softmax,
    "_softmax": _softmax,
    "log_softmax": _softmax,
    "_log_softmax": _softmax,
}
