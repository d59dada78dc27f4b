"""Which operators move memory of their own, and how many bytes."""

from __future__ import annotations

import math
from collections.abc import Callable

from torch import fx

from edgekit.graph.trace import parameter_of, shape_of

Width = Callable[[fx.Node], int]
"""Bytes of one element of a value or a parameter."""
ACTIVATIONS = frozenset(
    (
        *("relu", "relu6", "hardtanh", "hardswish", "hardsigmoid", "sigmoid", "silu"),
        *("gelu", "leaky_relu", "clamp"),
    )
)
FUSED = ACTIVATIONS | {"batch_norm", "bias"}
"""Runtimes fold or fuse these into the operator before them: they move no memory of their own."""
ELEMENTWISE = ACTIVATIONS | {
    *("add", "sub", "mul", "div", "pow", "maximum", "minimum", "neg", "prelu", "elu", "tanh", "exp", "sqrt"),
    *("rsqrt", "erf", "softplus", "mish", "quantize", "dequantize"),
}
"""One result for each element, of those at its place alone."""
FREE = frozenset(
    (
        *("view", "reshape", "_unsafe_view", "flatten", "unflatten", "unsqueeze", "squeeze", "expand"),
        *("dropout", "alias", "detach", "getitem", "contiguous", "clone"),
        *("chunk", "split", "split_with_sizes", "slice", "narrow", "select", "unbind"),
    )
)
"""Views: nothing is moved."""


def is_tensor(node: fx.Node) -> bool:
    """Whether a call gives a tensor, or several: not a number."""
    value = node.meta.get("val")
    first = value[0] if isinstance(value, tuple | list) and value else value
    return hasattr(first, "shape")


def elements(node: fx.Node) -> int:
    """The size of a node's (first) output; 0 of a number."""
    return math.prod(shape_of(node)) if is_tensor(node) else 0


def read_bytes(node: fx.Node, width: Width) -> int:
    """What a call reads, but for its weights."""
    return sum(elements(value) * width(value) for value in node.all_input_nodes if not parameter_of(value))


def written_bytes(node: fx.Node, width: Width) -> int:
    """What a call writes."""
    return elements(node) * width(node)
