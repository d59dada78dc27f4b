"""What a .tflite holds that a unit for integers alone cannot take: floats, and operators that it does not know."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from edgekit.exporters.litert_graph import Graph, Operator

_CONVERSIONS = ("QUANTIZE", "DEQUANTIZE")


def float_parts(graph: Graph) -> Iterator[str]:
    """Every input, output and operator with a float tensor, constants included."""
    for what, indices in (("input", graph.inputs), ("output", graph.outputs)):
        for tensor in (graph.tensors[index] for index in indices):
            if tensor.dtype != "INT8":
                yield f"{tensor.name}: the {what} is {tensor.dtype}, not INT8"
    for operator in graph.operators:
        if (name := _float_in(graph, operator)) is not None:
            yield f"{_named(graph, operator)}: {name} is float, and the file may hold integers alone"


def untaken_parts(graph: Graph, taken: Collection[str]) -> Iterator[str]:
    """Every operator of a kind that is not among those taken, where these are told."""
    for operator in untaken(graph, taken):
        yield f"{_named(graph, operator)}: the target has no {operator.kind}"


def untaken(graph: Graph, taken: Collection[str]) -> list[Operator]:
    """The operators themselves."""
    return [operator for operator in graph.operators if taken and operator.kind not in taken]


def float_operators(graph: Graph) -> list[Operator]:
    """Those that compute on floats; those that only convert from or to them left out."""
    return [
        operator
        for operator in graph.operators
        if operator.kind not in _CONVERSIONS and _float_in(graph, operator) is not None
    ]


def _float_in(graph: Graph, operator: Operator) -> str | None:
    used = [graph.tensors[index] for index in (*operator.inputs, *operator.outputs)]
    return next((tensor.name for tensor in used if tensor.dtype.startswith("FLOAT")), None)


def _named(graph: Graph, operator: Operator) -> str:
    return f"{operator.kind} {graph.tensors[operator.outputs[0]].name}"
