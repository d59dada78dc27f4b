"""Channel labels: the network's own data movement, run on integers instead of activations.

Every output channel of a convolution or linear layer gets a label. Views, permutations, chunks and
concatenations move labels exactly as they move channels, because the very same ATen operators run on them;
an element-wise meeting unites the labels that meet; a weighted layer consumes labels and makes new ones.
Label 0 is what carries no channel: the input, constants, padding.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx

from edgekit.graph.trace import arguments, layer_of, operators, parameter_of, shape_of
from edgekit.graph.union_find import UnionFind

POINTWISE = frozenset(
    (
        "relu",
        "relu6",
        "hardtanh",
        "hardswish",
        "hardsigmoid",
        "sigmoid",
        "silu",
        "gelu",
        "leaky_relu",
        "elu",
        "mish",
        "tanh",
        "dropout",
        "feature_dropout",
        "clone",
        "contiguous",
        "alias",
        "detach",
        "clamp",
        "abs",
        "neg",
        "exp",
    )
)
MEETINGS = frozenset(("add", "sub", "mul", "div", "maximum", "minimum"))
MOVEMENTS = frozenset(
    (
        "view",
        "reshape",
        "_unsafe_view",
        "flatten",
        "unflatten",
        "permute",
        "transpose",
        "t",
        "unsqueeze",
        "squeeze",
        "cat",
        "chunk",
        "split",
        "split_with_sizes",
        "unbind",
        "slice",
        "select",
        "narrow",
        "expand",
        "repeat",
        "roll",
        "flip",
        "stack",
        "constant_pad_nd",
        "pad",
        "pixel_shuffle",
        "pixel_unshuffle",
        "channel_shuffle",
        "getitem",
    )
)
PER_CHANNEL = frozenset(
    (
        "max_pool2d",
        "avg_pool2d",
        "adaptive_avg_pool2d",
        "adaptive_max_pool2d",
        "upsample_nearest2d",
        "upsample_bilinear2d",
        "mean",
        "amax",
        "instance_norm",
    )
)


@dataclass(frozen=True)
class Slot:
    """One axis of one parameter, and the label of the channel that each of its entries belongs to."""

    parameter: str
    axis: int
    labels: Tensor
    """(size of the axis,), int64."""


@dataclass(frozen=True)
class Labelling:
    """What a walk over the graph found."""

    slots: tuple[Slot, ...]
    united: UnionFind
    frozen: Mapping[int, str]
    """Label → why its channel must stay."""


def label_channels(graph: fx.GraphModule, producers: Mapping[str, Tensor] | None = None) -> Labelling:
    """Walk a traced graph with labels.

    `producers` maps a weight's name to the labels of its output channels: a pruned network is walked with the
    labels that survived, so that what arrives at each consumer can be compared with what it was sliced for.
    """
    walk = _Walk(graph, producers)
    for node, name in operators(graph):
        walk.visit(node, name)
    for node in graph.graph.find_nodes(op="output"):
        fx.map_arg(node.args, lambda value: walk.freeze(walk.labels(value), "network output"))
    return Labelling(tuple(walk.slots), walk.united, walk.frozen)


class _Walk:
    def __init__(self, graph: fx.GraphModule, producers: Mapping[str, Tensor] | None) -> None:
        self.given = producers
        self.slots: list[Slot] = []
        self.united = UnionFind()
        self.frozen: dict[int, str] = {}
        self.next_label = 1
        self.values: dict[fx.Node, Any] = {
            node: torch.zeros((), dtype=torch.int64).expand(shape_of(node))
            for node in graph.graph.find_nodes(op="placeholder")
        }

    def visit(self, node: fx.Node, name: str) -> None:
        if name in _RULES:
            self.values[node] = _RULES[name](self, node)
        elif name in POINTWISE:
            self.values[node] = self.labels(node.args[0])
        elif name in MEETINGS:
            self.values[node] = self.meet(node)
        elif name in MOVEMENTS:
            moved = fx.map_arg((node.args, dict(node.kwargs)), self.labels)
            self.values[node] = node.target(*moved[0], **moved[1])  # type: ignore[operator]
        elif name in PER_CHANNEL:
            self.values[node] = self.per_channel(node)
        else:
            self.stop(node, f"{name} at {layer_of(node)} is not understood")

    def labels(self, node: Any) -> Any:
        """The labels of a value; a parameter that is used like an activation carries none."""
        if node not in self.values:
            return torch.zeros((), dtype=torch.int64).expand(shape_of(node))
        return self.values[node]

    def fresh(self, weight: str, count: int) -> Tensor:
        if self.given is not None and weight in self.given:
            return self.given[weight]
        first, self.next_label = self.next_label, self.next_label + count
        return torch.arange(first, first + count)

    def slot(self, parameter: Any, axis: int, labels: Tensor) -> None:
        if (name := parameter_of(parameter)) is not None:
            self.slots.append(Slot(name, axis, labels))

    def freeze(self, labels: Any, reason: str) -> None:
        for label in torch.unique(narrowed(labels)).tolist():
            self.frozen.setdefault(label, reason)

    def stop(self, node: fx.Node, reason: str) -> None:
        """Freeze what goes in; what comes out carries no channel any more."""
        for value in node.all_input_nodes:
            if value in self.values and isinstance(self.values[value], Tensor):
                self.freeze(self.values[value], reason)
        output = node.meta.get("val")
        if isinstance(output, torch.Tensor):
            self.values[node] = torch.zeros((), dtype=torch.int64).expand(output.shape)

    def meet(self, node: fx.Node) -> Tensor:
        """Element-wise: channels at the same place must live or die together."""
        sides: list[Tensor] = [self.labels(value) for value in node.args[:2] if isinstance(value, fx.Node)]
        shape = shape_of(node)
        if len(sides) == 1:
            return sides[0].expand(shape)
        left, right = (side.expand(shape) for side in sides)
        self.united.unite(*_paired(left, right))
        return torch.where(left == 0, right, left) if bool((narrowed(left) == 0).any()) else left

    def channels(self, labels: Tensor, axis: int, node: fx.Node) -> Tensor | None:
        """One label per index of `axis`, or None (and frozen) where it differs along the others."""
        moved = narrowed(labels.movedim(axis, -1), keep_last=True).reshape(-1, labels.shape[axis])
        if bool((moved == moved[:1]).all()):
            return moved[0].clone()
        self.freeze(labels, f"channels are mixed where {layer_of(node)} reads them")
        return None

    def per_channel(self, node: fx.Node) -> Tensor:
        """Pooling, resizing and means over space keep each channel by itself (axis 1 of (N, C, H, W))."""
        labels, shape = self.labels(node.args[0]), shape_of(node)
        along = (
            self.channels(labels, 1, node)
            if labels.dim() == 4 and shape[:2] == tuple(labels.shape[:2])
            else None
        )
        if along is None:
            self.freeze(labels, f"{node.name} does not keep channels apart")
            return torch.zeros((), dtype=torch.int64).expand(shape)
        return along.reshape(1, -1, *(1,) * (len(shape) - 2)).expand(shape)


def _conv(walk: _Walk, node: fx.Node) -> Tensor:
    call = arguments(node)
    weight, groups = call["weight"], call["groups"]
    inputs, outputs = shape_of(call["input"])[1], shape_of(node)[1]
    arriving = walk.channels(walk.labels(call["input"]), 1, node)
    if groups == inputs and arriving is not None:  # depthwise: a channel keeps its label, `multiplier` times
        leaving = arriving.repeat_interleave(outputs // inputs)
    else:
        leaving = walk.fresh(str(parameter_of(weight)), outputs)
        if groups == 1 and arriving is not None:
            walk.slot(weight, 1, arriving)
        elif groups > 1:
            reason = f"grouped convolution {layer_of(node)}"
            walk.freeze(walk.labels(call["input"]), reason)
            walk.freeze(leaving, reason)
    walk.slot(weight, 0, leaving)
    walk.slot(call["bias"], 0, leaving)
    shape = shape_of(node)
    return leaving.reshape(1, -1, *(1,) * (len(shape) - 2)).expand(shape)


def _linear(walk: _Walk, node: fx.Node) -> Tensor:
    call = arguments(node)
    arriving = walk.channels(walk.labels(call["input"]), -1, node)
    if arriving is not None:
        walk.slot(call["weight"], 1, arriving)
    leaving = walk.fresh(str(parameter_of(call["weight"])), shape_of(node)[-1])
    walk.slot(call["weight"], 0, leaving)
    walk.slot(call["bias"], 0, leaving)
    return leaving.expand(shape_of(node))


def _batch_norm(walk: _Walk, node: fx.Node) -> Any:
    call = arguments(node)
    labels = walk.labels(call["input"])
    along = walk.channels(labels, 1, node)
    if along is not None:
        for name in ("weight", "bias", "running_mean", "running_var"):
            walk.slot(call[name], 0, along)
    return labels


_RULES: dict[str, Callable[[_Walk, fx.Node], Any]] = {
    "conv1d": _conv,
    "conv2d": _conv,
    "conv3d": _conv,
    "linear": _linear,
    "batch_norm": _batch_norm,
}


def narrowed(labels: Tensor, *, keep_last: bool = False) -> Tensor:
    """The labels without the axes along which they are one broadcast value (stride 0)."""
    for axis in range(labels.dim() - int(keep_last)):
        if labels.stride(axis) == 0 and labels.shape[axis] > 1:
            labels = labels.narrow(axis, 0, 1)
    return labels


def _paired(left: Tensor, right: Tensor) -> tuple[list[int], list[int]]:
    """The distinct pairs of labels that meet, read from broadcast views without filling them."""
    for axis in range(left.dim()):
        if left.stride(axis) == 0 and right.stride(axis) == 0:
            left, right = left.narrow(axis, 0, 1), right.narrow(axis, 0, 1)
    pairs = torch.unique(torch.stack((left.flatten(), right.flatten())), dim=1)
    pairs = pairs[:, (pairs != 0).all(dim=0)]  # nothing is asked of a channel that meets a constant
    return pairs[0].tolist(), pairs[1].tolist()
