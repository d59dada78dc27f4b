"""The MACs of a network while channels leave it, without touching a weight."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable

import torch
from torch import Tensor, fx

from edgekit.graph.channels import ChannelGraph
from edgekit.graph.labels.value import Plane, Value, label
from edgekit.graph.macs import (
    ADDED_PRODUCTS,
    CONVOLUTIONS,
    PRODUCTS,
    TRANSPOSED,
    Contraction,
    contractions,
    einsum_letters,
    multiply_accumulates,
)
from edgekit.graph.trace import arguments, operators, shape_of


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
        if operator == "einsum":
            for contraction in contractions(node):
                self._product(contraction.macs, self._along(node, contraction))
        elif operator == "scaled_dot_product_attention":
            keys = shape_of(call["key"])[-2]
            self._product(math.prod(shape_of(call["query"])) * keys, self._planes(call["query"]))
            self._product(math.prod(shape_of(node)) * keys, self._planes(node))
        elif macs := multiply_accumulates(node, operator):
            self._product(macs, self._factors_of(node, operator))

    def _factors_of(self, node: fx.Node, operator: str) -> list[Tensor]:
        """The channels that an operator's cost is proportional to; none where walks stop at it: all stay there."""
        if operator in CONVOLUTIONS:
            return [*self._planes(node), *self._used(node, "input")]
        if operator in TRANSPOSED:
            return [*self._used(node, "input"), *self._used(node, "output")]
        if operator == "linear" or operator in PRODUCTS:
            return [*self._planes(node), *self._planes(node.all_input_nodes[0], axis=-1)]
        if operator in ADDED_PRODUCTS:
            left = arguments(node)[ADDED_PRODUCTS[operator]]
            return [*self._planes(node), *self._planes(left, axis=-1)]
        return []

    def _along(self, node: fx.Node, contraction: Contraction) -> list[Tensor]:
        """The channels along each axis of a contraction, from the first operand that has them."""
        call = arguments(node)
        held, _ = einsum_letters(call["equation"], [len(shape_of(value)) for value in call["tensors"]])
        found = []
        for letter in contraction.sizes:
            holders = zip(call["tensors"], held, strict=True)
            planes = (self._planes(value, names.index(letter)) for value, names in holders if letter in names)
            found.extend(next(filter(None, planes), []))
        return found

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
