"""The MACs of a network while channels leave it, without touching a weight."""

from __future__ import annotations

import math

from torch import Tensor, fx

from edgekit.graph.channels import ChannelGraph
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
from edgekit.graph.products import Products, classes_along
from edgekit.graph.trace import arguments, operators, shape_of


class MacsCounter(Products):
    """Counts what `graph.cost` counts: each layer's MACs are a product of channel counts and of what stays."""

    def __init__(self, channels: ChannelGraph) -> None:
        super().__init__()
        self._channels = channels
        for node, operator in operators(channels.graph):
            self._count(node, operator)

    def _count(self, node: fx.Node, operator: str) -> None:
        call = arguments(node)
        if operator == "einsum":
            for contraction in contractions(node):
                self.add(contraction.macs, self._along(node, contraction))
        elif operator == "scaled_dot_product_attention":
            keys = shape_of(call["key"])[-2]
            self.add(math.prod(shape_of(call["query"])) * keys, self._planes(call["query"]))
            self.add(math.prod(shape_of(node)) * keys, self._planes(node))
        elif macs := multiply_accumulates(node, operator):
            self.add(macs, self._factors_of(node, operator))

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
        return classes_along(self._channels, self._channels.walk.values.get(node), axis)

    def _used(self, node: fx.Node, role: str) -> list[Tensor]:
        uses = self._channels.walk.uses.get(node, ())
        return [self._channels.classes_of(use.tokens) for use in uses if use.role == role]
