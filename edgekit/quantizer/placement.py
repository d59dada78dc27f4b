"""Which tensors of a folded graph are 8-bit integers under a target's rules."""

from __future__ import annotations

import operator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import torch
from torch import fx

from edgekit.quantizer.graphs import operand, packet

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgekit.target import Int8Rules

aten = torch.ops.aten

_CONVOLUTIONS = (aten.conv1d, aten.conv2d, aten.conv3d)
_TRANSPOSED = (aten.conv_transpose1d, aten.conv_transpose2d, aten.conv_transpose3d)
_MOVEMENT = (
    # Values that go in come out, or zeros do: what was on an 8-bit grid stays on it.
    *(aten.view, aten.reshape, aten._unsafe_view, aten.flatten, aten.squeeze, aten.unsqueeze, aten.clone),
    *(aten.permute, aten.transpose, aten.expand, aten.repeat, aten.roll, aten.flip, aten.contiguous),
    *(aten.slice, aten.select, aten.split, aten.split_with_sizes, aten.chunk, aten.index_select),
    operator.getitem,
    *(aten.max_pool1d, aten.max_pool2d, aten.max_pool3d, aten.upsample_nearest2d),
    *(aten.pixel_shuffle, aten.pixel_unshuffle, aten.channel_shuffle),
)
_COPIES = (aten.clone, aten.contiguous)
_GLOBAL_POOLING = (aten.mean, aten.adaptive_avg_pool1d, aten.adaptive_avg_pool2d)
_LOCAL_POOLING = (aten.avg_pool1d, aten.avg_pool2d)
_MIXTURES = (aten.cat, *_LOCAL_POOLING)
"""What they give lies within the range of what they are given."""
_WITHIN_ONE = ("sigmoid", "hardsigmoid", "softmax")
_ALIKE = {"relu": ("relu", "relu6", *_WITHIN_ONE), "relu6": ("relu6", *_WITHIN_ONE)}
"""Activation → those whose results it would leave as they are."""


@dataclass(frozen=True)
class Placement:
    """The integer tensors of a graph."""

    leaders: dict[fx.Node, fx.Node] = field(default_factory=dict)
    """Every activation that carries Q/DQ → the one whose scale it shares (mostly itself)."""
    channel_axes: dict[fx.Node, int] = field(default_factory=dict)
    """Every weighted operator that runs on integers → the axis of its weight that counts output channels."""


def place(graph: fx.GraphModule, rules: Int8Rules, floats: Collection[str] = ()) -> Placement:
    """Read the rules on every operator, in order; those named in `floats` and those not known stay float."""
    planner = _Planner(rules, floats)
    for node in graph.graph.nodes:
        planner.visit(node)
    if rules.fused_by_grid:
        planner.part_from_wider_grids()
    first: dict[fx.Node, fx.Node] = {}  # torchao wants the first of those that share a scale to lead
    leaders = {node: first.setdefault(planner.leaders[node], node) for node in sorted(planner.leaders)}
    return Placement(leaders, planner.channel_axes)


def origin(node: fx.Node) -> fx.Node:
    """The operator that computed a tensor's values, seen through what only moves them."""
    while moves_values(node):
        node = operand(node, 0)
    return node


def activation_name(node: fx.Node) -> str:
    """`relu`, `relu6`, `clamp` for any other bounds, or ATen's name; empty for what is no operator."""
    name = getattr(packet(node), "__name__", "") if node.op == "call_function" else ""
    if name in ("hardtanh", "clamp"):
        bounds = (*node.args[1:3], None)[:2] if len(node.args) > 1 else (-1.0, 1.0)
        return "relu" if bounds == (0, None) else "relu6" if bounds == (0, 6) else "clamp"
    return "relu" if name == "clamp_min" and node.args[1] == 0 else name


def tail_of(node: fx.Node, rules: Int8Rules) -> fx.Node:
    """The activation that the runtime computes inside this operator, or the operator itself."""
    (user, *others) = node.users or (node,)
    return user if not others and activation_name(user) in rules.fused_activations else node


def moves_values(node: fx.Node) -> bool:
    """What comes out went in, or is zero."""
    return packet(node) in _MOVEMENT or _pads_with_zeros(node)


class _Planner:
    """Collects which tensors must be integers; a demand on a tensor goes to the operator that computed it."""

    def __init__(self, rules: Int8Rules, floats: Collection[str]) -> None:
        self.rules = rules
        self.floats = floats
        self.leaders: dict[fx.Node, fx.Node] = {}
        self.channel_axes: dict[fx.Node, int] = {}
        self.fused: dict[fx.Node, fx.Node] = {}
        """Activation → the operator that computes it."""

    def visit(self, node: fx.Node) -> None:
        kind, rules = packet(node), self.rules
        if node.name in self.floats:
            return
        if (axis := _channel_axis(node)) is not None:
            self.channel_axes[node] = axis
            self.demand(node.args[0])
            if rules.quantize_results and not _is_network_output(self.tail(node)):
                self.demand(self.tail(node))
        elif kind is aten.add and _joins_activations(node):
            self.add(node)
        elif kind is aten.mul and _joins_activations(node) and rules.quantize_multiply:
            self.demand(*node.args[:2], self.tail(node))
        elif kind in _GLOBAL_POOLING and rules.quantize_pooling:
            self.demand(node.args[0], node)
        elif kind in _LOCAL_POOLING and rules.quantize_pooling:
            self.demand(node.args[0], node)
            self.share(node, node.args[0])
        elif node.op == "output" and rules.quantize_output:
            self.demand(*node.all_input_nodes)

    def add(self, node: fx.Node) -> None:
        inputs = [argument for argument in node.args[:2] if isinstance(argument, fx.Node)]
        if self.rules.residual_inputs == "skip":
            straight = [argument for argument in inputs if self.comes_straight(argument)]
            inputs = [argument for argument in inputs if not straight or argument is not max(straight)]
        if self.rules.residual_inputs != "none":
            self.demand(*inputs)
        if self.rules.residual_output:
            self.demand(self.tail(node))

    def demand(self, *nodes: fx.node.Argument) -> None:
        """These tensors must lie on an 8-bit grid."""
        for node in nodes:
            if isinstance(node, fx.Node) and _is_activation(source := origin(node)):
                if source not in self.leaders:
                    self.leaders[source] = source
                    self.demand_parts(source)
                if self.rules.quantize_movement:
                    self.demand_path(node, source)

    def demand_parts(self, node: fx.Node) -> None:
        """Integers can be laid side by side only on one scale."""
        if packet(node) is aten.cat:
            for part in node.all_input_nodes:
                self.demand(part)
                self.share(node, part)

    def demand_path(self, node: fx.Node, source: fx.Node) -> None:
        while node is not source:
            if _is_activation(node) and packet(node) not in _COPIES:
                self.leaders.setdefault(node, self.leaders[source])
            node = operand(node, 0)

    def share(self, first: fx.Node, second: fx.node.Argument) -> None:
        assert isinstance(second, fx.Node)
        kept, dropped = self.leaders.get(origin(first)), self.leaders.get(origin(second))
        if kept is not None and dropped is not None:
            self.leaders = {
                node: kept if leader is dropped else leader for node, leader in self.leaders.items()
            }

    def tail(self, node: fx.Node) -> fx.Node:
        """The activation that the runtime computes inside this operator, or the operator itself."""
        if (tail := tail_of(node, self.rules)) is not node:
            self.fused[tail] = node
        return tail

    def part_from_wider_grids(self) -> None:
        """Q/DQ between an operator and an activation that shares its scale with values that it would cut."""
        for activation, node in self.fused.items():
            leader, alike = self.leaders.get(activation), _ALIKE.get(activation_name(activation), ())
            sharing = [
                other for other in self.leaders if leader is self.leaders[other] and origin(other) is other
            ]
            if any(
                packet(other) not in _MIXTURES and activation_name(other) not in alike for other in sharing
            ):
                self.demand(node)

    def comes_straight(self, node: fx.Node) -> bool:
        """Whether a residual branch is a weighted operator's own result, read by nobody else."""
        return len(node.users) == 1 and (
            _channel_axis(node) is not None
            or any(
                len(source.users) == 1 and self.tail(source) is node and _channel_axis(source) is not None
                for source in node.all_input_nodes
            )
        )


def _channel_axis(node: fx.Node) -> int | None:
    """The weight's axis of output channels; None where the operator has no constant weight to quantize."""
    if packet(node) not in (*_CONVOLUTIONS, *_TRANSPOSED, aten.linear):
        return None
    weight = operand(node, 1)
    if weight.op != "get_attr" or not _is_activation(origin(operand(node, 0))):
        return None
    if packet(node) not in _TRANSPOSED:
        return 0
    channels_in, channels_out = weight.meta["val"].shape[:2]
    groups = (*node.args, 1)[6] if len(node.args) > 6 else 1
    if groups == 1:
        return 1
    return 0 if groups == channels_in and channels_out == 1 else None  # no axis counts a group's outputs


def _is_activation(node: fx.node.Argument) -> bool:
    value = node.meta.get("val") if isinstance(node, fx.Node) and node.op != "get_attr" else None
    return isinstance(value, torch.Tensor) and value.dtype == torch.float32


def _is_network_output(node: fx.Node) -> bool:
    """Nothing reads it but the user, perhaps through what only moves values."""
    return all(
        user.op == "output" or (packet(user) in _MOVEMENT and _is_network_output(user)) for user in node.users
    )


def _joins_activations(node: fx.Node) -> bool:
    """Both operands are activations: a residual or a gate, not arithmetic with a constant."""
    return all(_is_activation(argument) for argument in node.args[:2]) and not node.kwargs


def _pads_with_zeros(node: fx.Node) -> bool:
    if packet(node) is aten.pad:
        return node.args[2:3] in ((), ("constant",)) and not any(node.args[3:4])
    return packet(node) is aten.constant_pad_nd and not any(node.args[2:3])
