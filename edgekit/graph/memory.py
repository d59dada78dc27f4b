"""Peak activation memory: which tensors must live at the same time when operators run in the graph's order."""

from __future__ import annotations

import math
from collections.abc import Container

from torch import fx

from edgekit.graph.trace import operators, parameter_of, shape_of


def peak_activation_elements(graph: fx.GraphModule, in_place: Container[str]) -> int:
    """The most elements that are alive at once; a buffer is reused as soon as its last reader has run.

    Operators named in `in_place` (views, fused activations) write into their input's buffer.
    """
    owner: dict[fx.Node, fx.Node] = {node: node for node in graph.graph.find_nodes(op="placeholder")}
    schedule = list(operators(graph))
    for node, operator in schedule:
        source = next((value for value in node.all_input_nodes if value in owner), None)
        owner[node] = owner[source] if operator in in_place and source is not None else node
    last_reader = {
        owner[value]: step
        for step, (node, _) in enumerate(schedule)
        for value in node.all_input_nodes
        if not parameter_of(value) and value in owner
    }
    alive = {node for node in owner if node.op == "placeholder"}
    peak = 0
    for step, (node, _) in enumerate(schedule):
        alive.add(owner[node])
        peak = max(peak, sum(math.prod(shape_of(value)) for value in alive))
        alive = {value for value in alive if last_reader.get(value, len(schedule)) > step}
    return peak
