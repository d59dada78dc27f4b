"""Peak activation memory: which tensors must live at the same time when operators run in the graph's order."""

from __future__ import annotations

import math
from collections.abc import Collection, Container, Mapping
from dataclasses import dataclass

from torch import fx

from edgekit.graph.trace import operators, parameter_of, shape_of


@dataclass(frozen=True)
class Lifetimes:
    """When each buffer holds something that is still to be read."""

    steps: int
    of: Mapping[fx.Node, tuple[int, int]]
    """The node that made a buffer → the first and the last step at which it is alive."""


def peak_activation_elements(graph: fx.GraphModule, views: Container[str], fused: Container[str]) -> int:
    """The most elements that are alive at once; a buffer is reused as soon as its last reader has run.

    Operators named in `views` give their input's buffer another shape; those in `fused` (element-wise) write into
    it, unless what was there is read again.
    """
    found = lifetimes(graph, views, fused)
    alive = [0] * found.steps
    for node, (first, last) in found.of.items():
        for step in range(first, min(last + 1, found.steps)):
            alive[step] += math.prod(shape_of(node))
    return max(alive, default=0)


def lifetimes(
    graph: fx.GraphModule,
    views: Container[str],
    fused: Container[str],
    absent: Collection[fx.Node] = (),
) -> Lifetimes:
    """When the buffers of a network live, one step an operator, without those that are `absent`."""
    schedule = [(node, operator) for node, operator in operators(graph) if node not in absent]
    whole = _views(graph, schedule, views)
    last_reader = _last_readers(graph, schedule, whole)
    owner = {node: node for node in graph.graph.find_nodes(op="placeholder")}
    for step, (node, operator) in enumerate(schedule):
        source = next((value for value in node.all_input_nodes if value in owner), None)
        in_place = operator in fused and source is not None and last_reader[whole[source]] == step
        owner[node] = owner[source] if source is not None and (in_place or operator in views) else node
    last_reader = _last_readers(graph, schedule, owner)
    first = {node: 0 for node in owner if node.op == "placeholder"}
    for step, (node, _) in enumerate(schedule):
        first.setdefault(owner[node], step)
    return Lifetimes(
        len(schedule),
        {node: (start, max(start, last_reader.get(node, start))) for node, start in first.items()},
    )


def _views(
    graph: fx.GraphModule, schedule: list[tuple[fx.Node, str]], views: Container[str]
) -> dict[fx.Node, fx.Node]:
    """Each value → the one that it is a view of, or itself."""
    whole = {node: node for node in graph.graph.find_nodes(op="placeholder")}
    for node, operator in schedule:
        source = next((value for value in node.all_input_nodes if value in whole), None)
        whole[node] = whole[source] if source is not None and operator in views else node
    return whole


def _last_readers(
    graph: fx.GraphModule, schedule: list[tuple[fx.Node, str]], owner: dict[fx.Node, fx.Node]
) -> dict[fx.Node, int]:
    """Buffer → the step that reads it last; outputs are read when all is done."""
    readers = [*(node for node, _ in schedule), graph.graph.output_node()]
    return {
        owner[value]: step
        for step, node in enumerate(readers)
        for value in node.all_input_nodes
        if not parameter_of(value) and value in owner
    }
