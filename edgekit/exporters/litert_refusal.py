"""An operator that a target cannot take, told in the network's own words: which module, and what comes nearest."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.exporters.litert_integers import float_operators, untaken
from edgekit.exporters.litert_names import node_of
from edgekit.graph.trace import layer_of
from edgekit.quantizer.placement import activation_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from torch import fx

    from edgekit.exporters.litert_graph import Graph, Operator
    from edgekit.target import Target

_RECTIFIERS = (("HARD_SWISH", "nn.Hardswish"), ("RELU6", "nn.ReLU6"), ("RELU", "nn.ReLU"))
_LINEAR = (("FULLY_CONNECTED", "nn.Linear"), ("CONV_2D", "nn.Conv2d"))
_NEAREST: Mapping[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys(("gelu", "silu", "mish", "softplus", "elu", "selu", "celu", "hardswish"), _RECTIFIERS),
    **dict.fromkeys(("leaky_relu", "prelu", "clamp"), _RECTIFIERS[1:]),
    **dict.fromkeys(("layer_norm", "group_norm", "instance_norm"), (("CONV_2D", "nn.BatchNorm2d"),)),
    **dict.fromkeys(("matmul", "bmm", "scaled_dot_product_attention", "einsum"), _LINEAR),
    **dict.fromkeys(
        ("index", "index_select", "gather"), (("STRIDED_SLICE", "a slice"), ("SLICE", "a slice"))
    ),
    **dict.fromkeys(
        ("conv_transpose2d", "upsample_bilinear2d"), (("RESIZE_NEAREST_NEIGHBOR", "nn.Upsample"),)
    ),
}
"""ATen's operator → what could stand in its place: the format's kind, and what makes it in PyTorch."""
_ELSE = "nn.Conv2d, nn.ReLU, additions and poolings"


def refuse_untaken(graph: Graph, nodes: Mapping[str, fx.Node], target: Target) -> None:
    """Raise `InputError` for the first operator that an integer-only target cannot take.

    `nodes` are those of the PyTorch graph that the file was made from, by name.
    """
    if target.integer_only and (found := float_operators(graph)):
        raise _error(graph, found, nodes, target, "takes integers alone, and float is computed in")
    if not target.other_operators and (found := untaken(graph, target.operators)):
        raise _error(graph, found, nodes, target, "does not have the operator of")


def left_elsewhere(graph: Graph, nodes: Mapping[str, fx.Node], target: Target) -> list[str]:
    """A note on the operators that something beside the unit computes; none where it takes all."""
    found = untaken(graph, target.operators) if target.other_operators else []
    if not found:
        return []
    places = dict.fromkeys(f"{operator.kind} of {_module(graph, operator, nodes)}" for operator in found)
    told = ", ".join([*places][:3]) + (f" and {len(places) - 3} more" if len(places) > 3 else "")
    return [f"not among the operators of {target.title}, left to {target.other_operators}: {told}"]


def _error(
    graph: Graph, found: Iterable[Operator], nodes: Mapping[str, fx.Node], target: Target, why: str
) -> InputError:
    first, *others = dict.fromkeys(
        f"{_module(graph, operator, nodes)} ({operator.kind})" for operator in found
    )
    more = f" and {len(others)} more" if others else ""
    node = _node(graph, next(iter(found)), nodes)
    return InputError(
        f"{target.id} {why} {first}{more}",
        hint=f"the nearest that it takes: {_nearest(node, target)}",
    )


def _nearest(node: fx.Node | None, target: Target) -> str:
    near = _NEAREST.get(activation_name(node) if node is not None else "", ())
    return next((words for kind, words in near if not target.operators or kind in target.operators), _ELSE)


def _module(graph: Graph, operator: Operator, nodes: Mapping[str, fx.Node]) -> str:
    node = _node(graph, operator, nodes)
    return graph.tensors[operator.outputs[0]].name if node is None else layer_of(node)


def _node(graph: Graph, operator: Operator, nodes: Mapping[str, fx.Node]) -> fx.Node | None:
    """What an operator is part of: the first node behind it whose values the file holds, if one does."""
    readers: dict[int, list[Operator]] = {}
    for each in graph.operators:
        for index in each.inputs:
            readers.setdefault(index, []).append(each)
    waiting = [operator]
    for each in waiting:  # grows as it is read
        named = (nodes.get(node_of(graph.tensors[index].name)) for index in each.outputs)
        if (found := next((node for node in named if node is not None), None)) is not None:
            return found
        following = (reader for index in each.outputs for reader in readers.get(index, []))
        waiting.extend(reader for reader in following if reader not in waiting)
    return None
