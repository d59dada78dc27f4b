"""What XNNPACK computes in float alone, in operators that it computes on integers.

Where it has no kernel, LiteRT's own computes alone and slowly, and the graph falls into one part more: an integer
hard swish or rectifier takes longer than the convolutions around it (docs/int8-peers.md). A target whose list of
operators has the kind keeps it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from edgekit.exporters.litert_graph import Graph, Operator, pack, read_graph, unpack
from edgekit.exporters.litert_scales import CLAMPS
from edgekit.model import ActivationScale
from edgekit.optional import load
from edgekit.quantizer.graphs import operand, packet

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import fx

    from edgekit.target import Target

aten = torch.ops.aten

_GATE = ActivationScale(scale=6 / 255, zero_point=-128)
"""Of what lies between 0 and 6, both ends of which are exact."""
_VERSION = 2
"""Of QUANTIZE, the first that goes from integers to integers."""


def swish_in_parts(
    graph: fx.GraphModule, scales: Mapping[str, ActivationScale], target: Target
) -> dict[str, ActivationScale]:
    """Make each integer hard swish x/6 · relu6(x + 3), in place; `scales` by node, and those of the new nodes.

    In this order the converter does not put the parts together again.
    """
    found = dict(scales)
    if "HARD_SWISH" in target.operators:
        return found
    for node in list(graph.graph.nodes):
        if packet(node) is aten.hardswish and {node.name, operand(node, 0).name} <= scales.keys():
            found[_split(graph.graph, node)] = _GATE
    graph.recompile()
    return found


def _split(graph: fx.Graph, swish: fx.Node) -> str:
    """The name of the gate; the product is the node itself, under its own name."""
    source = operand(swish, 0)
    with graph.inserting_before(swish):
        sixth = graph.call_function(aten.mul.Tensor, (source, 1 / 6))  # the integers of x, on a finer scale
        moved = graph.call_function(aten.add.Tensor, (source, 3.0))
        gate = graph.call_function(aten.hardtanh.default, (moved, 0.0, 6.0))
    for part in (sixth, moved, gate):
        part.meta = dict(swish.meta)
    swish.target, swish.args = aten.mul.Tensor, (sixth, gate)
    return gate.name


def clamps_by_grid(content: bytes, target: Target) -> bytes:
    """An INT8 file in which rectifiers are QUANTIZE, where the integers of their results end where they cut."""
    model, graph = unpack(content), read_graph(content)
    clamps = [
        stored
        for operator, stored in zip(graph.operators, model.subgraphs[0].operators, strict=True)
        if operator.kind not in target.operators and _ends_where_it_cuts(graph, operator)
    ]
    if not clamps:
        return content
    code = _code(model)
    for stored in clamps:
        stored.opcodeIndex, stored.builtinOptionsType, stored.builtinOptions = code, 0, None
    return pack(model)


def _ends_where_it_cuts(graph: Graph, operator: Operator) -> bool:
    bounds = CLAMPS.get(operator.kind)
    if bounds is None:
        return False
    source, result = graph.tensors[operator.inputs[0]], graph.tensors[operator.outputs[0]]
    if not source.dtype == result.dtype == "INT8":
        return False
    if (source.scales, source.zero_points) == (result.scales, result.zero_points):
        return False  # nothing is left to cut: a QUANTIZE that changes nothing is against LiteRT's rules
    (step,), (zero,) = result.scales, result.zero_points
    low, high = step * (-128 - zero), step * (127 - zero)
    return bounds[0] - step / 2 <= low and high <= bounds[1] + step / 2


def _code(model: Any) -> int:
    """The place of QUANTIZE among the kinds of operators in the file."""
    schema = load("ai_edge_litert.schema_py_generated", extra="litert")
    kind = schema.BuiltinOperator.QUANTIZE
    for place, code in enumerate(model.operatorCodes):
        if code.builtinCode == kind:
            code.version = max(code.version, _VERSION)
            return place
    made = schema.OperatorCodeT()
    made.builtinCode = made.deprecatedBuiltinCode = kind
    made.version = _VERSION
    model.operatorCodes.append(made)
    return len(model.operatorCodes) - 1
