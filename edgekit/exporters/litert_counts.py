"""How much of a .tflite file computes on integers: counted in the file, without running it."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import InputError
from edgekit.exporters.litert_graph import WEIGHTED, Graph, Operator, read_graph

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

_BORDER = {"QUANTIZE", "DEQUANTIZE"}


@dataclass(frozen=True)
class LitertCounts:
    """What a file holds; a weighted operator is integer where input, weights and output are all INT8."""

    operators: Mapping[str, int]
    integer_operators: int
    float_operators: int
    float_tensors: tuple[str, ...]
    """Computed tensors that are float, except the network's input and output."""

    @property
    def quantize(self) -> int:
        """QUANTIZE operators: float to INT8, or from one scale to another."""
        return self.operators.get("QUANTIZE", 0)

    @property
    def dequantize(self) -> int:
        """DEQUANTIZE operators: one at each float output; more are islands of float."""
        return self.operators.get("DEQUANTIZE", 0)

    @property
    def transposes(self) -> int:
        """TRANSPOSE operators: memory traffic that a channel-last network does not need."""
        return self.operators.get("TRANSPOSE", 0)


def litert_counts(path: Path) -> LitertCounts:
    """Count the operators of a .tflite file; raises `InputError` where it cannot be read or is none."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {path}: {error.strerror}") from error
    return counts_of(read_graph(content, name=str(path)))


def counts_of(graph: Graph) -> LitertCounts:
    """`litert_counts` of a graph that was read already."""
    weighted = [operator for operator in graph.operators if operator.kind in WEIGHTED]
    integer = sum(_is_integer(graph, operator) for operator in weighted)
    border = {*graph.inputs, *graph.outputs}
    return LitertCounts(
        operators=dict(sorted(Counter(operator.kind for operator in graph.operators).items())),
        integer_operators=integer,
        float_operators=len(weighted) - integer,
        float_tensors=tuple(
            tensor.name
            for tensor in graph.activations
            if tensor.dtype != "INT8" and tensor.index not in border
        ),
    )


def float_operators(graph: Graph) -> list[Operator]:
    """The operators whose result is float, but for those that only convert."""
    return [
        operator
        for operator in graph.operators
        if operator.kind not in _BORDER and any(tensor.dtype != "INT8" for tensor in graph.targets(operator))
    ]


def _is_integer(graph: Graph, operator: Operator) -> bool:
    used = [*(operator.inputs[place] for place in WEIGHTED[operator.kind]), *operator.outputs]
    return all(graph.tensors[index].dtype == "INT8" for index in used)
