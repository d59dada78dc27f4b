"""The scale of every activation tensor of a .tflite: those recorded in PyTorch, and what follows from them.

A tensor that is a node of the PyTorch graph has that node's scale. Where the converter made tensors that
PyTorch does not have (a padding, the constant factor of a hard sigmoid), or a kernel wants input and output
to share a scale, it follows from the neighbours without a rounding that PyTorch does not do: moved values
keep their scale, a constant factor scales it. What stays without a scale stays float, as it is in PyTorch.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.exporters.litert_graph import WEIGHTED, Graph, Operator
from edgekit.model import ActivationScale

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from edgekit.exporters.litert_match import Nodes

_SHAPES = (
    "RESHAPE",
    "TRANSPOSE",
    "SQUEEZE",
    "EXPAND_DIMS",
    "BROADCAST_TO",
    "SPACE_TO_DEPTH",
    "DEPTH_TO_SPACE",
)
_PARTS = ("SPLIT", "SPLIT_V", "SLICE", "STRIDED_SLICE", "GATHER", "GATHER_ND", "UNPACK", "PAD", "MIRROR_PAD")
_WINDOWS = ("MAX_POOL_2D", "AVERAGE_POOL_2D", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "REDUCE_MIN")
# LiteRT 8-bit quantization specification: input and output must have the same scale and zero point.
_SAME_AS_INPUT = frozenset((*_SHAPES, *_PARTS, *_WINDOWS))
# Their inputs are brought to the output's scale, by an operator of its own where it differs.
_SAME_AS_OUTPUT = frozenset({"CONCATENATION", "PACK", "PADV2", "MAXIMUM", "SELECT", "SELECT_V2"})
_FIXED_OUTPUT = {
    "LOGISTIC": ActivationScale(scale=1 / 256, zero_point=-128),
    "SOFTMAX": ActivationScale(scale=1 / 256, zero_point=-128),
    "TANH": ActivationScale(scale=1 / 128, zero_point=0),
}
CLAMPS = {
    "RELU": (0.0, math.inf),
    "RELU6": (0.0, 6.0),
    "RELU_0_TO_1": (0.0, 1.0),
    "RELU_N1_TO_1": (-1.0, 1.0),
}
"""Where they cut. Integers saturate at the ends of the output's range there: their input needs no other scale."""


@dataclass
class Scales:
    """Scales by tensor index (a tensor without one is float), and what was decided other than in PyTorch."""

    of: dict[int, ActivationScale] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)


def resolve_scales(
    graph: Graph,
    nodes: Nodes,
    recorded: Mapping[str, ActivationScale],
    floats: Collection[int] = (),
) -> Scales:
    """The scales of a float file's activations.

    `nodes` are the PyTorch nodes with a tensor's values, `recorded` the scales by node. Raises `InputError`
    where a convolution or linear layer would stay float for want of a scale, and names the tensor; what computes a
    tensor of `floats` is meant to.
    """
    scales = Scales()
    for tensor in graph.activations:
        known = [name for name in nodes[tensor.index] if name in recorded]
        if known:
            scales.of[tensor.index] = recorded[known[0]]
    known_before = -1
    while len(scales.of) > known_before:
        known_before = len(scales.of)
        for operator in graph.operators:
            _force(graph, operator, scales)
            _follow(graph, operator, scales, floats)
    _refuse_float_layers(graph, nodes, scales, floats)
    return scales


def _force(graph: Graph, operator: Operator, scales: Scales) -> None:
    """What a kernel demands of its output, whatever was recorded for it."""
    sources = graph.sources(operator)
    of_input = scales.of.get(sources[0].index) if sources else None
    demanded = of_input if operator.kind in _SAME_AS_INPUT else _FIXED_OUTPUT.get(operator.kind)
    if of_input is None or demanded is None:
        return
    for tensor in graph.targets(operator):
        before = scales.of.get(tensor.index, demanded)
        if before != demanded:
            scales.notes.append(
                f"{operator.kind} {tensor.name}: its kernel demands scale {demanded.scale:.6g}, zero point "
                f"{demanded.zero_point}; in PyTorch {before.scale:.6g}, {before.zero_point}"
            )
        scales.of[tensor.index] = demanded


def _follow(graph: Graph, operator: Operator, scales: Scales, floats: Collection[int]) -> None:
    """Fill in an unknown output beside known inputs, or unknown inputs beside a known output.

    Not of what is computed in float: behind a resize it would be cut where only the rectifier after that cuts.
    """
    sources, targets = graph.sources(operator), graph.targets(operator)
    if not sources or not targets:
        return
    inputs = [scales.of[tensor.index] for tensor in sources if tensor.index in scales.of]
    output = scales.of.get(targets[0].index)
    found, unknown = None, targets[:1]
    if output is None and len(inputs) == len(sources):
        found = _forward(graph, operator, inputs)
    elif output is not None and len(inputs) < len(sources):
        found = _backward(graph, operator, output)
        unknown = [tensor for tensor in sources if tensor.index not in {*scales.of, *floats}]
    if found is not None:
        scales.of.update({tensor.index: found for tensor in unknown})


def _forward(graph: Graph, operator: Operator, inputs: Sequence[ActivationScale]) -> ActivationScale | None:
    if operator.kind in _SAME_AS_OUTPUT and all(scale == inputs[0] for scale in inputs):
        return inputs[0]
    factor = _factor(graph, operator)
    return _scaled(inputs[0], factor) if factor else None


def _backward(graph: Graph, operator: Operator, output: ActivationScale) -> ActivationScale | None:
    if operator.kind in _SAME_AS_INPUT | _SAME_AS_OUTPUT | CLAMPS.keys():
        return output
    factor = _factor(graph, operator)
    return _scaled(output, 1 / factor) if factor else None


def _factor(graph: Graph, operator: Operator) -> float | None:
    """The positive constant that an operator multiplies by, if that is all it does."""
    if operator.kind not in {"MUL", "DIV"} or operator.activation != "NONE":
        return None
    constant = graph.tensors[operator.inputs[1]].data
    if constant is None or constant.size != 1 or constant.item() <= 0:
        return None
    return float(constant.item() if operator.kind == "MUL" else 1 / constant.item())


def _scaled(scale: ActivationScale, factor: float) -> ActivationScale:
    return ActivationScale(scale=scale.scale * factor, zero_point=scale.zero_point)


def _refuse_float_layers(graph: Graph, nodes: Nodes, scales: Scales, floats: Collection[int]) -> None:
    for operator in graph.operators:
        meant = operator.outputs[0] in floats
        weighted = operator.kind in WEIGHTED and len(graph.sources(operator)) == 1 and not meant
        for tensor in [*graph.sources(operator), *graph.targets(operator)]:
            if not weighted or tensor.index in scales.of:
                continue
            same = f"is {', '.join(nodes[tensor.index])}" if nodes[tensor.index] else "corresponds to nothing"
            raise InputError(
                f"no INT8 scale for tensor {tensor.name} {list(tensor.shape)} of the .tflite, which its "
                f"{operator.kind} needs; in the PyTorch graph it {same}",
                hint="the target's [int8] rules must give that node a scale",
            )
