"""Peak activation memory: which tensors must live at the same time when operators run in the graph's order."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from torch import fx

from edgekit.graph.trace import operators, parameter_of
from edgekit.graph.traffic import FREE, FUSED, Width, elements


@dataclass(frozen=True)
class Lifetimes:
    """When each buffer holds something that is still to be read."""

    steps: tuple[fx.Node, ...]
    of: Mapping[fx.Node, tuple[int, int]]
    """The node that made a buffer → the first and the last step at which it is alive."""


@dataclass(frozen=True)
class Moment:
    """One step of the schedule, and the buffers that are alive while it runs."""

    node: fx.Node
    buffers: tuple[tuple[fx.Node, int], ...]
    """The values that buffers were made for, and the bytes of each."""

    @property
    def live_bytes(self) -> int:
        """All buffers together."""
        return sum(size for _, size in self.buffers)


def schedule(graph: fx.GraphModule, width: Width) -> list[Moment]:
    """The graph's own order; a buffer is reused as soon as its last reader has run.

    Views give their input's buffer another shape; what runtimes fuse (element-wise) writes into it, unless what was
    there is read again.
    """
    found = lifetimes(graph)
    alive: list[list[tuple[fx.Node, int]]] = [[] for _ in found.steps]
    for value, (first, last) in found.of.items():
        for buffers in alive[first : last + 1]:
            buffers.append((value, elements(value) * width(value)))
    return [Moment(node, tuple(buffers)) for node, buffers in zip(found.steps, alive, strict=True)]


def lifetimes(graph: fx.GraphModule, absent: Collection[fx.Node] = ()) -> Lifetimes:
    """When the buffers of a network live, one step an operator, without those that are `absent`."""
    steps = [(node, operator) for node, operator in operators(graph) if node not in absent]
    owner = _owners(graph, steps)
    last_reader = _last_readers(graph, steps, owner)
    first = {node: 0 for node in owner if node.op == "placeholder"}
    for step, (node, _) in enumerate(steps):
        first.setdefault(owner[node], step)
    return Lifetimes(
        tuple(node for node, _ in steps),
        {node: (start, max(start, last_reader.get(node, start))) for node, start in first.items()},
    )


def _owners(graph: fx.GraphModule, steps: list[tuple[fx.Node, str]]) -> dict[fx.Node, fx.Node]:
    """Each value → the value whose buffer it lies in."""
    whole = _views(graph, steps)
    last_reader = _last_readers(graph, steps, whole)
    owner = {node: node for node in graph.graph.find_nodes(op="placeholder")}
    for step, (node, operator) in enumerate(steps):
        source = next((value for value in node.all_input_nodes if value in owner), None)
        in_place = operator in FUSED and source is not None and last_reader[whole[source]] == step
        owner[node] = owner[source] if source is not None and (in_place or operator in FREE) else node
    return owner


def _views(graph: fx.GraphModule, steps: list[tuple[fx.Node, str]]) -> dict[fx.Node, fx.Node]:
    """Each value → the one that it is a view of, or itself."""
    whole = {node: node for node in graph.graph.find_nodes(op="placeholder")}
    for node, operator in steps:
        source = next((value for value in node.all_input_nodes if value in whole), None)
        whole[node] = whole[source] if source is not None and operator in FREE else node
    return whole


def _last_readers(
    graph: fx.GraphModule, steps: list[tuple[fx.Node, str]], owner: dict[fx.Node, fx.Node]
) -> dict[fx.Node, int]:
    """Buffer → the step that reads it last; outputs are read when all is done."""
    readers = [*(node for node, _ in steps), graph.graph.output_node()]
    return {
        owner[value]: step
        for step, node in enumerate(readers)
        for value in node.all_input_nodes
        if not parameter_of(value) and value in owner
    }
