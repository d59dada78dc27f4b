"""The parameters of a network, and the weights that its file stores, while channels leave it."""

from __future__ import annotations

from torch import Tensor, fx, nn

from edgekit.graph.channels import ChannelGraph
from edgekit.graph.macs import CONVOLUTIONS, TRANSPOSED
from edgekit.graph.products import Products
from edgekit.graph.trace import arguments, operator_name, operators, parameter_of

WEIGHT_BYTES = 4


def axes_of(channels: ChannelGraph) -> dict[str, list[Tensor]]:
    """Parameter or buffer → the classes along each of its axes that channels lie along."""
    found: dict[str, list[Tensor]] = {}
    for slot in channels.slots:
        found.setdefault(slot.parameter, []).append(slot.labels)
    return found


class ParamsCounter(Products):
    """Counts the entries of all parameters, as `graph.cost` does."""

    def __init__(self, channels: ChannelGraph, module: nn.Module) -> None:
        super().__init__()
        axes = axes_of(channels)
        for name, value in module.named_parameters():
            self.add(value.numel(), axes.get(name, []))


class StoredCounter(Products):
    """Counts the bytes of the float weights in a file: batch norm is folded into the layer before it.

    A folded norm leaves that layer's bias; one with no such layer leaves a scale and a shift. What a file
    holds besides weights is no matter of channels.
    """

    def __init__(self, channels: ChannelGraph, module: nn.Module) -> None:
        super().__init__()
        axes = axes_of(channels)
        folded: set[str] = set()
        for norm, biased in _folded(channels.graph):
            call = arguments(norm)
            folded.update(
                name for part in ("weight", "bias") if (name := parameter_of(call[part])) is not None
            )
            mean = parameter_of(call["running_mean"])
            if not biased and mean is not None:
                entries = module.get_buffer(mean).numel()
                self.add(WEIGHT_BYTES * entries, axes.get(mean, []))
        read = {str(node.target) for node in channels.graph.graph.find_nodes(op="get_attr")}
        for name, value in module.named_parameters():
            if name in read and name not in folded:
                self.add(WEIGHT_BYTES * value.numel(), axes.get(name, []))


def _folded(graph: fx.GraphModule) -> list[tuple[fx.Node, bool]]:
    """The batch norms that the layer before them takes in, and whether that layer has a bias already."""
    found = []
    for node, operator in operators(graph):
        if operator != "batch_norm":
            continue
        call = arguments(node)
        before = call["input"]
        if operator_name(before) not in (*CONVOLUTIONS, *TRANSPOSED, "linear"):
            continue
        layer = arguments(before)
        if len(before.users) == 1 and len(layer["weight"].users) == 1:
            found.append((node, layer["bias"] is not None))
    return found
