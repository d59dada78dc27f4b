"""The MACs of a network while channels leave it, without touching a weight."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, fx

from edgekit.graph.channels import ChannelGraph
from edgekit.graph.labels.value import Plane, Value, label
from edgekit.graph.trace import arguments, operator_name, operators, shape_of

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
PRODUCTS = ("matmul", "bmm", "mm")


class MacsCounter:
    """Counts what `graph.cost` counts: each layer's MACs are a product of channel counts and of what stays."""

    def __init__(self, channels: ChannelGraph) -> None:
        self._classes = channels.found.classes
        self._values = channels.walk.values
        self._uses = channels.walk.uses
        self._where: dict[int, list[tuple[int, int]]] = defaultdict(list)
        self._counts: list[int] = []
        self._terms_of: list[list[int]] = []
        self._factors: list[tuple[int, ...]] = []
        self._each: list[float] = []
        for node, operator in operators(channels.graph):
            self._add(node, operator)
        self._terms = [self._term(index) for index in range(len(self._each))]
        self._total = sum(self._terms)

    def remove(self, names: Iterable[int]) -> None:
        """These classes are gone."""
        stale: set[int] = set()
        for name in names:
            for factor, times in self._where[name]:
                self._counts[factor] -= times
                stale.update(self._terms_of[factor])
        for index in stale:
            new = self._term(index)
            self._total += new - self._terms[index]
            self._terms[index] = new

    def __call__(self) -> int:
        """Multiply-accumulates of what is left."""
        return round(self._total)

    def _term(self, index: int) -> float:
        return self._each[index] * math.prod(self._counts[factor] for factor in self._factors[index])

    def _add(self, node: fx.Node, operator: str) -> None:
        call = arguments(node)
        if operator in CONVOLUTIONS:
            macs = math.prod(shape_of(call["weight"])) * math.prod(shape_of(node)[2:]) * shape_of(node)[0]
            self._product(macs, [*self._planes(node), *self._used(node, "input")])
        elif operator.startswith("conv_transpose"):
            macs = (
                math.prod(shape_of(call["weight"]))
                * math.prod(shape_of(call["input"])[2:])
                * shape_of(node)[0]
            )
            self._product(macs, [*self._used(node, "input"), *self._used(node, "output")])
        elif operator == "linear" or operator in PRODUCTS:
            left = node.all_input_nodes[0]
            macs = math.prod(shape_of(node)) * shape_of(left)[-1]
            self._product(macs, [*self._planes(node), *self._planes(left, axis=-1)])
        elif operator_name(node) == "scaled_dot_product_attention":
            keys = shape_of(call["key"])[-2]
            self._product(math.prod(shape_of(call["query"])) * keys, self._planes(call["query"]))
            self._product(math.prod(shape_of(node)) * keys, self._planes(node))

    def _planes(self, node: fx.Node, axis: int | None = None) -> list[Tensor]:
        """The tokens (blocks, channels) along the channel axes of a value."""
        value = self._values.get(node)
        if not isinstance(value, Value):
            return []
        planes = value.planes if axis is None else value.at(axis % value.rank)
        return [_rows(plane) for plane in planes]

    def _used(self, node: fx.Node, role: str) -> list[Tensor]:
        return [use.tokens for use in self._uses.get(node, ()) if use.role == role]

    def _product(self, macs: int, tokens: list[Tensor]) -> None:
        term, factors, each = len(self._each), [], float(macs)
        for one in tokens:
            factor = len(self._counts)
            self._counts.append(one.numel())
            self._terms_of.append([term])
            factors.append(factor)
            each /= one.numel()
            names, times = torch.unique(self._classes[label(one)], return_counts=True)
            for name, count in zip(names.tolist(), times.tolist(), strict=True):
                self._where[name].append((factor, count))
        self._factors.append(tuple(factors))
        self._each.append(each)


def _rows(plane: Plane) -> Tensor:
    return (
        plane.tokens.movedim(plane.axis, -1).flatten(0, -2) if plane.tokens.dim() > 1 else plane.tokens[None]
    )
