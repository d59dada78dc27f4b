"""A pruned network's exported graph, made for a fixed number of pictures, as one for any number of them.

An export holds the batch as a number among others. So the network is exported for one picture and for two, pruned in
both forms, and what differs between the two graphs is the batch's: it is taken from the input instead.
"""

from __future__ import annotations

import operator
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.utils._pytree import tree_flatten, tree_unflatten

from edgekit.errors import InputError
from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.surgery import FORWARD_ERRORS, TOLERANCE, cut_graph, doubled
from edgekit.graph.survivors import survivors
from edgekit.graph.trace import shape_of, trace

MANY = 8
"""Pictures at once, in which none may change what another gives."""


def for_any_batch(module: nn.Module, channels: ChannelGraph, removed: Tensor) -> fx.GraphModule:
    """The network without the classes in `removed` (int64), as a graph: (N, C, H, W) → what the network gives.

    Raises `InputError` where the network cannot be exported for two pictures, computes something else for them, takes
    or gives more than one tensor, or gives a picture something else among others than alone.
    """
    name, taken = type(module).__name__, list(channels.graph.graph.find_nodes(op="placeholder"))
    if len(taken) != 1:
        raise InputError(f"{name} takes {len(taken)} inputs")
    picture = shape_of(taken[0])[1:]
    _refuse_mixing(module, picture, name)
    both = [channel_graph(trace(module, (count, *picture))) for count in (1, 2)]
    if any(not torch.equal(each.found.classes, channels.found.classes) for each in both):
        raise InputError(f"{name} moves other channels for two pictures than for one")
    one, two = (cut_graph(module, each, survivors(each, removed)) for each in both)
    _free(one, two, name)
    _refuse_mixing(one, picture, f"the graph of {name} for any batch")
    return one


def _refuse_mixing(network: nn.Module, picture: tuple[int, ...], name: str) -> None:
    """Raise `InputError` unless each of `MANY` pictures (C, H, W) gives what it gives alone, in float64.

    That settles every number of pictures, where the answer to one is right.
    """
    pictures = torch.randn(MANY, *picture, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    computed = doubled(network)
    try:
        with torch.no_grad():
            alone, together = [computed(each[None]) for each in pictures], computed(pictures)
    except FORWARD_ERRORS as error:
        raise InputError(f"{name} does not take {MANY} pictures: {error}") from error
    if not isinstance(together, Tensor):
        raise InputError(f"{name} gives more than one tensor")
    expected = torch.cat(alone)
    if together.shape != expected.shape or not torch.allclose(
        together, expected, rtol=0, atol=TOLERANCE * float(expected.abs().max())
    ):
        raise InputError(f"{name} gives a picture something else among others than alone")


def _free(one: fx.GraphModule, two: fx.GraphModule, name: str) -> None:
    """Replace, in place, each size of the graph for one picture that is twice as large in that for two."""
    batch, fellows = _Batch(one.graph), dict[fx.Node, fx.Node]()
    pairs = list(zip(one.graph.nodes, two.graph.nodes, strict=False))
    same = len(one.graph.nodes) == len(two.graph.nodes)
    for single, double in pairs:
        own, form = tree_flatten((single.args, single.kwargs))
        others, _ = tree_flatten((double.args, double.kwargs))
        if not same or single.target != double.target or len(own) != len(others):
            raise InputError(
                f"{name} computes something else for two pictures than for one, at {single.name}"
            )
        fellows[double] = single
        freed = [batch.freed(mine, fellows.get(other, other) if isinstance(other, fx.Node) else other)
                 for mine, other in zip(own, others, strict=True)]  # fmt: skip
        single.args, single.kwargs = tree_unflatten(freed, form)
    one.recompile()


class _Batch:
    """The number of pictures in a graph, and products of it, each made once."""

    def __init__(self, graph: fx.Graph) -> None:
        self._graph = graph
        (self._input,) = graph.find_nodes(op="placeholder")
        self._made: dict[int, fx.Node] = {}

    def freed(self, own: Any, other: Any) -> Any:
        """An argument of the graph for one picture, by what it is for two."""
        if own is other or (type(own) is type(other) and not isinstance(own, fx.Node) and own == other):
            return own
        if type(own) is not int or type(other) is not int or other != 2 * own:
            raise InputError(f"one picture meets {own} where two meet {other}")
        return self._times(own)

    def _times(self, factor: int) -> fx.Node:
        if 1 not in self._made:
            with self._graph.inserting_after(self._input):
                self._made[1] = self._graph.call_function(torch.ops.aten.sym_size.int, (self._input, 0))
        if factor not in self._made:
            with self._graph.inserting_after(self._made[1]):
                self._made[factor] = self._graph.call_function(operator.mul, (self._made[1], factor))
        return self._made[factor]
