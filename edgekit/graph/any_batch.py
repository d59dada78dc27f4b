"""A pruned network's exported graph, made for one picture, as one for any number of them.

An export holds the batch as a number among others. So the network is exported for one picture and for two, pruned in
both forms, and what differs between the two graphs is the batch's: it is taken from the input instead.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.node import map_aggregate

from edgekit.errors import InputError
from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.surgery import cut_graph
from edgekit.graph.survivors import survivors
from edgekit.graph.trace import shape_of, trace


def for_any_batch(module: nn.Module, channels: ChannelGraph, removed: Tensor) -> fx.GraphModule:
    """The network without the classes in `removed` (int64), as a graph: (N, C, H, W) → what the network gives.

    `channels` are those of the network at one picture. Raises `InputError` where the network cannot be exported for
    two, computes something else for them, or takes more than pictures.
    """
    name, taken = type(module).__name__, list(channels.graph.graph.find_nodes(op="placeholder"))
    if len(taken) != 1:
        raise InputError(f"{name} takes {len(taken)} inputs")
    both = [channel_graph(trace(module, (count, *shape_of(taken[0])[1:]))) for count in (1, 2)]
    if any(not torch.equal(each.found.classes, channels.found.classes) for each in both):
        raise InputError(f"{name} moves other channels for two pictures than for one")
    one, two = (cut_graph(module, each, survivors(each, removed)) for each in both)
    if [node.target for node in one.graph.nodes] != [node.target for node in two.graph.nodes]:
        raise InputError(f"{name} computes something else for two pictures than for one")
    batch = _Batch(one)
    for single, double in list(zip(one.graph.nodes, two.graph.nodes, strict=True)):
        batch.free(single, double)
    one.recompile()
    return one


class _Batch:
    """The number of pictures in a graph, and products of it, each made once."""

    def __init__(self, graph: fx.GraphModule) -> None:
        self._graph = graph.graph
        (self._input,) = self._graph.find_nodes(op="placeholder")
        self._made: dict[int, fx.Node] = {}

    def free(self, single: fx.Node, double: fx.Node) -> None:
        """Replace in a node for one picture each size that is twice as large in its fellow for two."""
        theirs: list[Any] = []
        map_aggregate((double.args, double.kwargs), theirs.append)
        others = iter(theirs)

        def freed(own: Any) -> Any:
            other = next(others)
            if isinstance(own, fx.Node) or own == other:
                return own
            if not isinstance(own, int) or not isinstance(other, int) or other != 2 * own:
                raise InputError(f"{single.name} takes {own} for one picture and {other} for two")
            return self._times(own)

        single.args, single.kwargs = map_aggregate((single.args, single.kwargs), freed)

    def _times(self, factor: int) -> fx.Node:
        if 1 not in self._made:
            with self._graph.inserting_after(self._input):
                self._made[1] = self._graph.call_function(torch.ops.aten.sym_size.int, (self._input, 0))
        if factor not in self._made:
            with self._graph.inserting_after(self._made[1]):
                self._made[factor] = self._graph.call_function(operator.mul, (self._made[1], factor))
        return self._made[factor]
