"""The walk over a traced network: rules look at one operator each, the walk holds what they find."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, fx

from edgekit.graph.labels.book import Axis, Book
from edgekit.graph.labels.value import Plane, Value, broadcast, label, vector
from edgekit.graph.trace import Shape, layer_of, operators, parameter_of, shape_of

Role = Literal["output", "input", "other"]
Result = Value | list["Result"] | None
"""What a node gives: a tensor, several of them, or nothing where a smaller network has fewer cells."""
Rule = Callable[["Walk", fx.Node], Result]


FINE = 1 << 20
JOINING = frozenset(("cat", "concat", "concatenate", "stack"))
"""Operators that take what pieces there are."""


class MisfitError(Exception):
    """These widths cannot be: the network's own operators would not fit each other."""


@dataclass(frozen=True)
class Use:
    """One axis of one parameter, and the tokens that meet its entries at one node."""

    parameter: str
    axis: int
    tokens: Tensor
    """(blocks, entries), int64: a grouped convolution's input axis meets other channels in each block of axis 0."""
    role: Role


class Walk:
    """What is known of a network with its own widths, or with `widths` (producer → channels) where they differ.

    A smaller network is walked after the whole one, `before`; with `partly`, only where it differs from that.
    """

    def __init__(self, book: Book, widths: Mapping[Axis, int], before: Walk | None, *, partly: bool) -> None:
        self.book = book
        self.widths = widths
        self.before = before
        self.partly = partly
        self.values: dict[fx.Node, Result] = {}
        self.uses: dict[fx.Node, list[Use]] = defaultdict(list)
        self.met: list[tuple[Tensor, Tensor]] = []
        """Labels that live or die together."""
        self.frozen: list[tuple[Tensor, str]] = []
        self.steps: list[tuple[Tensor, Tensor]] = []
        """For each cut of an axis: the tokens behind it, and how often each occurs (in the mean row, × FINE)."""
        self.cut: list[Tensor] = []
        """For each cut of an axis: all labels along it."""
        self.resized: dict[str, dict[str, Any]] = defaultdict(dict)
        """Node → arguments, by name, that other widths ask for."""
        self.stopped: set[str] = set()
        """Nodes whose rule did not fit the whole network: it fits no smaller one either."""
        self.constants: dict[str, Tensor] = {}
        """Buffer → what other widths make of it."""

    def over(self, graph: fx.GraphModule, rules: Mapping[str, Rule]) -> Walk:
        """Visit all nodes; an operator without a rule freezes what it touches. Raises `MisfitError`."""
        for node in graph.graph.find_nodes(op="placeholder"):
            self.values[node] = self.before.values[node] if self.before else Value(shape_of(node))
        for node, name in operators(graph):
            if self.before is not None and self.partly and not self._differs(node, self.before):
                self.values[node] = self.before.values[node]
            else:
                self._visit(node, rules.get(name), name)
        for node in graph.graph.find_nodes(op="output"):
            for value in node.all_input_nodes:
                self._freeze_value(self.values.get(value), "network output")
        return self

    def _differs(self, node: fx.Node, before: Walk) -> bool:
        return any(
            value in self.values and self.values[value] is not before.values[value]
            for value in node.all_input_nodes
        ) or any(
            (use.parameter, use.axis) in self.widths
            for source in (node, *(value for value in node.all_input_nodes if value.op == "get_attr"))
            for use in before.uses.get(source, ())
        )

    def _visit(self, node: fx.Node, rule: Rule | None, name: str) -> None:
        try:
            found = self._found(node, rule, name)
        except MisfitError as error:
            if self.before is not None and node.name not in self.before.stopped:
                raise
            found = self._stopped(node, str(error))
        else:
            if self._is_unusual(node, found):
                found = self._stopped(node, f"{name} at {layer_of(node)} is used in an unusual way")
        old = self.before.values[node] if self.before and self.partly else None
        self.values[node] = old if isinstance(found, Value) and found.same(old) else found

    def _is_unusual(self, node: fx.Node, found: Result) -> bool:
        """Whether a rule gives another shape than the network, or did so for the whole one."""
        if self.before is not None:
            return node.name in self.before.stopped
        return isinstance(found, Value) and not _fits(found.shape, shape_of(node))

    def _stopped(self, node: fx.Node, reason: str) -> Result:
        self.stopped.add(node.name)
        return self.stop(node, reason)

    def _found(self, node: fx.Node, rule: Rule | None, name: str) -> Result:
        if rule is None:
            return self.stop(node, f"{name} at {layer_of(node)} is not understood")
        return None if name not in JOINING and self._absent(node) else rule(self, node)

    def _absent(self, node: fx.Node) -> bool:
        """Whether the only tensor that a node reads is a piece that a smaller network does not have."""
        read = [value for value in node.all_input_nodes if value in self.values]
        absent = len(read) == 1 and self.values[read[0]] is None
        if absent and self.before is not None and self.before.uses.get(node):
            raise MisfitError(f"nothing would arrive at {layer_of(node)}")
        return absent

    # What rules read

    def value(self, node: Any) -> Value:
        """The value of a tensor argument; a parameter that is used like an activation has channels of its own."""
        found = self.values.get(node)
        if found is None and (name := parameter_of(node)) is not None:
            found = self.values[node] = self._parameter(node, name)
        if not isinstance(found, Value):
            raise MisfitError(f"{node} has no value")
        return found

    def fresh(self, weight: Any, axis: int, count: int) -> Tensor | None:
        """The labels of a weight's output axis of `count` entries; None for one of a single channel."""
        name = parameter_of(weight)
        if name is None or count == 1:
            return None
        first = self.book.label((name, axis), count)
        return torch.arange(first, first + self.widths.get((name, axis), count))

    def along(self, value: Value, axis: int, node: fx.Node) -> Tensor | None:
        """The tokens (channels,) along an axis, united along all others; None where it has no channels."""
        planes = value.at(axis)
        if len(planes) != 1:
            for plane in planes:
                self.freeze(plane.tokens, f"two kinds of channels meet at {layer_of(node)}")
            return None
        tokens = planes[0].tokens.movedim(axis, 0).flatten(1)
        self.unite(tokens, tokens[:, :1], node)
        return tokens[:, 0]

    def level(self, plane: Plane, axis: int, node: fx.Node) -> Plane:
        """The plane with what lies along another axis than its own united."""
        first = plane.tokens.narrow(axis, 0, 1)
        if plane.varies(axis):
            self.unite(plane.tokens, first, node)
        return Plane(first, plane.axis)

    # What rules say

    def use(
        self, node: fx.Node, parameter: Any, axis: int, tokens: Tensor | None, role: Role = "other"
    ) -> None:
        """These tokens, (entries,) or (blocks, entries), meet that axis of a parameter (or of a computed weight)."""
        if parameter is None:
            return
        name = parameter_of(parameter)
        if name is None:
            self._use_computed(node, self.value(parameter), axis, tokens)
        elif tokens is not None:
            self.uses[node].append(Use(name, axis, tokens if tokens.dim() == 2 else tokens[None], role))

    def _use_computed(self, node: fx.Node, weight: Value, axis: int, tokens: Tensor | None) -> None:
        planes = weight.at(axis)
        if tokens is None:
            for plane in planes:
                self.freeze(plane.tokens, f"meets something without channels at {layer_of(node)}")
            return
        if not planes:
            self.freeze(tokens, f"{layer_of(node)} computes its weights")
        blocks = len(tokens) if tokens.dim() == 2 else 1
        shape = [blocks, 1] + [-1 if place == axis else 1 for place in range(1, weight.rank)]
        for plane in planes:
            if blocks == 1:
                self.unite(vector(tokens, axis, weight.rank).tokens, plane.tokens, node)
            else:
                rows = (
                    torch.unflatten(plane.tokens, 0, (blocks, -1)) if plane.varies(0) else plane.tokens[None]
                )
                self.unite(tokens.reshape(shape), rows, node)

    def unite(self, left: Tensor, right: Tensor, node: fx.Node) -> None:
        """Channels at the same place must live or die together; what meets no channel must live."""
        try:
            left, right = (side.reshape(-1) for side in broadcast(label(left), label(right)))
        except ValueError as error:  # numpy's, for shapes that do not broadcast
            raise MisfitError(f"other numbers of channels meet at {layer_of(node)}") from error
        apart = left != right
        if not bool(apart.any()):
            return
        left, right = left[apart], right[apart]
        lonely = (left == 0) | (right == 0)
        if bool(lonely.any()):
            self.freeze(
                torch.maximum(left, right)[lonely], f"meets something without channels at {layer_of(node)}"
            )
            left, right = left[~lonely], right[~lonely]
        self.met.append((left, right))

    def freeze(self, tokens: Tensor, reason: str) -> None:
        """The channels of these tokens must stay."""
        self.frozen.append((torch.unique(label(tokens)), reason))

    def step(self, tokens: Tensor, cells: Tensor, axis: int, node: fx.Node) -> Tensor:
        """The tokens behind a node that cuts their channel axis: the cell that each lies in is part of its path."""
        behind = self.book.step(tokens, cells, node.name)
        rows = behind.numel() // behind.shape[axis]
        found, times = torch.unique(behind, return_counts=True)
        self.steps.append((found, times * FINE // rows))
        self.cut.append(torch.unique(label(behind)))
        return behind

    def resize(self, node: fx.Node, **arguments: Any) -> None:
        """Other widths ask for these arguments of a node."""
        self.resized[node.name] |= arguments

    def stop(self, node: fx.Node, reason: str) -> Result:
        """Freeze what goes in; what comes out carries no channel any more."""
        for value in node.all_input_nodes:
            if value in self.values or parameter_of(value) is not None:
                self._freeze_value(self.values.get(value), reason)
        return _plain(node.meta.get("val"))

    def _freeze_value(self, value: Result, reason: str) -> None:
        if isinstance(value, list):
            for part in value:
                self._freeze_value(part, reason)
        elif value is not None:
            for plane in value.planes:
                self.freeze(plane.tokens, reason)

    def _parameter(self, node: fx.Node, name: str) -> Value:
        shape = list(shape_of(node))
        planes = []
        for axis, size in enumerate(shape):
            if (labels := self.fresh(node, axis, size)) is not None:
                planes.append(vector(labels, axis, len(shape)))
                shape[axis] = len(labels)
                self.uses[node].append(Use(name, axis, labels[None], "other"))
        return Value(tuple(shape), tuple(planes))


def _plain(value: Any) -> Result:
    """A tensor, or several, without channels."""
    if isinstance(value, torch.Tensor):
        return Value(tuple(int(size) for size in value.shape))
    return [_plain(part) for part in value] if isinstance(value, tuple | list) else None


def _fits(found: Shape, traced: Shape) -> bool:
    """Whether a shape is the traced one; a size that is left to broadcasting is 1."""
    return len(found) == len(traced) and all(one in (1, two) for one, two in zip(found, traced, strict=True))
