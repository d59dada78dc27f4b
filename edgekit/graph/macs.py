"""The multiply-accumulates of one operator: products that are summed, not those that only scale."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import fx
from torch.fx.node import map_aggregate
from torch.utils.flop_counter import FlopCounterMode

from edgekit.graph.trace import arguments, shape_of

CONVOLUTIONS = ("conv1d", "conv2d", "conv3d")
TRANSPOSED = ("conv_transpose1d", "conv_transpose2d", "conv_transpose3d")
PRODUCTS = ("matmul", "bmm", "mm", "mv", "dot", "vdot")
ADDED_PRODUCTS = {"addmm": "mat1", "baddbmm": "batch1", "addbmm": "batch1", "addmv": "mat"}
"""Products with something added, and the argument that is their left side."""
_PLAIN = frozenset(
    (
        *("add", "sub", "mul", "div", "pow", "maximum", "minimum", "where", "prelu"),
        *("cat", "stack", "index", "embedding", "getitem"),
        *("batch_norm", "layer_norm", "group_norm", "instance_norm"),
    )
)
"""Operators of several tensors that sum no products, or whose products are not counted as such."""
Call = dict[str, Any]
"""The arguments of a call by name."""
Letters = tuple[str, ...]


@dataclass(frozen=True)
class Contraction:
    """Two operands of an `einsum` multiplied and summed: the product of its axes' sizes is what that costs."""

    sizes: dict[str, int]
    """Axis → its size; an axis of one operand alone that is summed is gone before, by additions."""

    @property
    def macs(self) -> int:
        """Multiply-accumulates."""
        return math.prod(self.sizes.values())


def multiply_accumulates(node: fx.Node, operator: str) -> int:
    """What a call costs; operators that are not known here are counted by what they are composed of."""
    if rule := _RULES.get(operator):
        return rule(node, arguments(node))
    several = operator not in _PLAIN and len(node.all_input_nodes) > 1
    return _composed(node) if several else 0


def _convolution(node: fx.Node, call: Call) -> int:
    return math.prod(shape_of(call["weight"])) * math.prod(shape_of(node)[2:]) * shape_of(node)[0]


def _transposed(node: fx.Node, call: Call) -> int:
    positions = math.prod(shape_of(call["input"])[2:]) * shape_of(node)[0]
    return math.prod(shape_of(call["weight"])) * positions


def _product(node: fx.Node, _: Call) -> int:
    return math.prod(shape_of(node)) * shape_of(node.all_input_nodes[0])[-1]


def _linear(node: fx.Node, call: Call) -> int:
    return math.prod(shape_of(node)) * shape_of(call["weight"])[-1]


def _added_product(node: fx.Node, call: Call) -> int:
    left = next(shape_of(call[name]) for name in ADDED_PRODUCTS.values() if name in call)
    summed = left[0] if len(left) > len(shape_of(node)) > 1 else 1  # `addbmm` adds its batch up
    return math.prod(shape_of(node)) * left[-1] * summed


def _einsum(node: fx.Node, _: Call) -> int:
    return sum(contraction.macs for contraction in contractions(node))


def _bilinear(node: fx.Node, call: Call) -> int:
    return math.prod(shape_of(call["weight"])) * math.prod(shape_of(node)[:-1])


def _attention(_: fx.Node, call: Call) -> int:
    query, key, value = (shape_of(call[name]) for name in ("query", "key", "value"))
    return math.prod(query[:-1]) * key[-2] * (query[-1] + value[-1])


def contractions(node: fx.Node) -> list[Contraction]:
    """The pairs that an `einsum` multiplies, in its order; products that nothing is summed of are left out."""
    call = arguments(node)
    shapes = [shape_of(value) for value in call["tensors"]]
    held, result = einsum_letters(call["equation"], [len(shape) for shape in shapes])
    sizes: dict[str, int] = {}
    for letters, shape in zip(held, shapes, strict=True):
        for letter, size in zip(letters, shape, strict=True):
            sizes[letter] = max(size, sizes.get(letter, 1))  # 1 is broadcast
    left = [set(letters) for letters in held]
    pairs = list(call.get("path") or (0, 1) + (0, -1) * max(0, len(held) - 2))
    found = []
    while len(left) > 1:
        one, two = left[pairs.pop(0)], left[pairs.pop(0)]
        left = [letters for letters in left if letters is not one and letters is not two]
        needed = set(result).union(*left)
        kept, both = (one | two) & needed, one & two
        if both - needed:
            found.append(Contraction({letter: sizes[letter] for letter in sorted(kept | both)}))
        left.append(kept)
    return found


def einsum_letters(equation: str, ranks: Sequence[int]) -> tuple[list[Letters], Letters]:
    """A name for each axis of each operand, and of the result; those that `...` stands for are numbered from the right.

    Without an arrow the result has what occurs once, in the alphabet's order, as `torch.einsum` says.
    """
    sides, arrow, result = equation.replace(" ", "").partition("->")
    held = [_spelt(side, rank) for side, rank in zip(sides.split(","), ranks, strict=True)]
    dots = max((letters for letters in held), key=lambda letters: sum(map(_is_dot, letters)))
    covered = tuple(filter(_is_dot, dots))
    if arrow:
        before, ellipsis, after = result.partition("...")
        return held, (*before, *(covered if ellipsis else ()), *after)
    times = Counter(letter for letters in held for letter in letters if not _is_dot(letter))
    return held, (*covered, *sorted(letter for letter, count in times.items() if count == 1))


def _spelt(side: str, rank: int) -> Letters:
    before, ellipsis, after = side.partition("...")
    covered = rank - len(before) - len(after) if ellipsis else 0
    return (*before, *(f".{place}" for place in reversed(range(covered))), *after)


def _is_dot(letter: str) -> bool:
    return letter.startswith(".")


def _composed(node: fx.Node) -> int:
    """Counted while the operator runs on shapes alone: recurrent layers, `tensordot` and the like."""
    if not isinstance(node.target, torch._ops.OpOverload):
        return 0
    given = [map_aggregate(value, _shapes_alone) for value in node.args]
    named = {name: map_aggregate(value, _shapes_alone) for name, value in node.kwargs.items()}
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        node.target(*given, **named)
    return int(counter.get_total_flops()) // 2


def _shapes_alone(argument: Any) -> Any:
    return map_aggregate(argument.meta["val"], _on_meta) if isinstance(argument, fx.Node) else argument


def _on_meta(value: Any) -> Any:
    return value.to("meta") if isinstance(value, torch.Tensor) else value


_RULES: dict[str, Callable[[fx.Node, Call], int]] = {
    **dict.fromkeys(CONVOLUTIONS, _convolution),
    **dict.fromkeys(TRANSPOSED, _transposed),
    "linear": _linear,
    **dict.fromkeys(PRODUCTS, _product),
    **dict.fromkeys(ADDED_PRODUCTS, _added_product),
    "einsum": _einsum,
    "bilinear": _bilinear,
    "scaled_dot_product_attention": _attention,
}
