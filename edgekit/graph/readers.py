"""Who reads whom: the weighted layers of a traced network, and between which of them activations flow."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, fx

from edgekit.graph.channels import ChannelGraph
from edgekit.graph.trace import layer_of


@dataclass(frozen=True)
class Reader:
    """A call of a weighted layer; one that is called twice is there twice."""

    layer: str
    depth: int
    """Weighted layers on the longest way to it from the input, itself not counted."""
    classes: Tensor
    """(outputs,), int64: the class of each output channel, 0 for what is none."""
    reads: tuple[int, ...]
    """Places of those whose outputs reach it without another weighted layer between, in order."""


def readers(channels: ChannelGraph) -> tuple[Reader, ...]:
    """All calls of weighted layers, in the order in which they run."""
    found: list[Reader] = []
    seen: dict[fx.Node, frozenset[int]] = {}
    for node in channels.graph.graph.nodes:
        reads = frozenset[int]().union(*(seen[source] for source in node.all_input_nodes))
        seen[node] = reads
        if node.op == "call_function" and (tokens := _made(channels, node)) is not None:
            depth = max((found[place].depth + 1 for place in reads), default=0)
            classes = channels.classes_of(tokens).flatten()
            found.append(Reader(layer_of(node), depth, classes, tuple(sorted(reads))))
            seen[node] = frozenset((len(found) - 1,))
    return tuple(found)


def group_of(channels: ChannelGraph, reader: Reader) -> int:
    """The index of the group that most of a layer's outputs are in; -1 where they are in none."""
    groups = channels.group_of[reader.classes]
    return int(torch.mode(groups).values) if len(groups) else -1


def _made(channels: ChannelGraph, node: fx.Node) -> Tensor | None:
    uses = channels.walk.uses.get(node, ())
    return next((use.tokens for use in uses if use.role == "output"), None)
