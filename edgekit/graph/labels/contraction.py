"""Products of two tensors: channels that are multiplied and summed meet, those of other axes stay."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, fx

from edgekit.graph.labels.value import Plane, Value, wide
from edgekit.graph.labels.walk import Result, Rule, Walk
from edgekit.graph.trace import arguments, layer_of, shape_of

Operand = tuple[Value, str]
"""A tensor and a letter for each of its axes, as in `einsum`."""


def multiply(walk: Walk, node: fx.Node, operands: Sequence[Operand], result: str) -> Value:
    """What `einsum` gives: letters that are not in `result` are summed over, those that operands share meet."""
    order = result + "".join(sorted({letter for _, letters in operands for letter in letters} - set(result)))
    sizes, kept = dict.fromkeys(result, 1), []
    for letter in order:
        holders = [
            (value, letters)
            for value, letters in operands
            if letter in letters and wide(value, letters.index(letter))
        ]
        if letter in sizes and holders:
            sizes[letter] = holders[0][0].shape[holders[0][1].index(letter)]
        plane = _met(walk, node, [_planes(operand, letter, order) for operand in holders])
        if plane is not None and letter in result:
            kept.append(_summed(walk, node, plane, len(result)))
    return Value(tuple(sizes[letter] for letter in result), tuple(kept))


def _planes(operand: Operand, letter: str, order: str) -> list[Plane]:
    value, letters = operand
    return [
        Plane(_arranged(plane.tokens, letters, order), order.index(letter))
        for plane in value.at(letters.index(letter))
    ]


def _arranged(tokens: Tensor, letters: str, order: str) -> Tensor:
    """The tokens with axes in another order, of size 1 where they had none."""
    moved = tokens.permute([letters.index(letter) for letter in order if letter in letters])
    for place, letter in enumerate(order):
        if letter not in letters:
            moved = moved.unsqueeze(place)
    return moved


def _met(walk: Walk, node: fx.Node, sides: list[list[Plane]]) -> Plane | None:
    """The plane of an axis when each operand's is the same; else all that lies along it must stay."""
    if sides and all(len(planes) == 1 for planes in sides):
        for planes in sides[1:]:
            walk.unite(sides[0][0].tokens, planes[0].tokens, node)
        return sides[0][0]
    for planes in sides:
        for plane in planes:
            walk.freeze(plane.tokens, f"meets something without channels at {layer_of(node)}")
    return None


def _summed(walk: Walk, node: fx.Node, plane: Plane, rank: int) -> Plane:
    for axis in range(rank, plane.tokens.dim()):
        plane = walk.level(plane, axis, node)
    return Plane(plane.tokens.reshape(plane.tokens.shape[:rank]), plane.axis)


def matmul(walk: Walk, node: fx.Node) -> Result:
    """(…, M, K) × (…, K, N) → (…, M, N), batch axes broadcast."""
    call = arguments(node)
    left, right = walk.value(node.args[0]), walk.value(call.get("mat2", call.get("other")))
    if left.rank < 2 or right.rank < 2:
        return walk.stop(node, f"the vector product at {layer_of(node)} is not understood")
    batch = "abcdefgh"[: max(left.rank, right.rank) - 2]
    sides = [
        (left, batch[len(batch) - left.rank + 2 :] + "mk"),
        (right, batch[len(batch) - right.rank + 2 :] + "kn"),
    ]
    return multiply(walk, node, sides, batch + "mn")


def addmm(walk: Walk, node: fx.Node) -> Result:
    """Bias + (M, K) × (K, N)."""
    call = arguments(node)
    product = multiply(walk, node, [(walk.value(call["mat1"]), "mk"), (walk.value(call["mat2"]), "kn")], "mn")
    bias = walk.value(node.args[0])
    for plane in product.planes:
        axis = plane.axis - 2 + bias.rank
        if axis >= 0 and bias.shape[axis] > 1:
            _met(walk, node, [[plane], [Plane(found.tokens, plane.axis) for found in bias.at(axis)]])
    return product


def einsum(walk: Walk, node: fx.Node) -> Result:
    """Any product of tensors written with letters."""
    call = arguments(node)
    left, arrow, result = call["equation"].replace(" ", "").partition("->")
    letters = left.split(",")
    if not arrow or "." in left or any(len(set(each)) < len(each) for each in letters):
        return walk.stop(node, f"einsum {call['equation']} at {layer_of(node)} is not understood")
    operands = [(walk.value(value), each) for value, each in zip(call["tensors"], letters, strict=True)]
    return multiply(walk, node, operands, result)


def attention(walk: Walk, node: fx.Node) -> Result:
    """softmax(Q Kᵀ · scale) V; the scale that the network was trained with stays when its heads get narrower."""
    call = arguments(node)
    if call.get("enable_gqa"):
        return walk.stop(node, f"grouped queries at {layer_of(node)} are not understood")
    query, key, value = (walk.value(call[name]) for name in ("query", "key", "value"))
    if call["attn_mask"] is not None:
        for plane in walk.value(call["attn_mask"]).planes:
            walk.freeze(plane.tokens, f"attention mask of {layer_of(node)}")
    for tokens, axis in ((key, key.rank - 2), (value, value.rank - 2)):
        for plane in tokens.at(axis):
            walk.freeze(plane.tokens, f"softmax at {layer_of(node)}")
    if call["scale"] is None:
        walk.resize(node, scale=shape_of(call["query"])[-1] ** -0.5)
    batch = "abcdefgh"[: query.rank - 2]
    scores = multiply(walk, node, [(query, f"{batch}ld"), (key, f"{batch}sd")], f"{batch}ls")
    return multiply(walk, node, [(scores, f"{batch}ls"), (value, f"{batch}se")], f"{batch}le")


RULES: dict[str, Rule] = {
    "matmul": matmul,
    "bmm": matmul,
    "mm": matmul,
    "addmm": addmm,
    "einsum": einsum,
    "scaled_dot_product_attention": attention,
}
