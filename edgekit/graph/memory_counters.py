"""What a network moves and holds, in bytes, while channels leave it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
from torch import fx, nn

from edgekit.graph.channels import ChannelGraph
from edgekit.graph.layer import computes
from edgekit.graph.memory import lifetimes
from edgekit.graph.products import Products, classes_along
from edgekit.graph.trace import operators, parameter_of
from edgekit.graph.traffic import elements
from edgekit.graph.weight_counters import WEIGHT_BYTES, axes_of

ACTIVATION_BYTES = 4


class MemoryAccessCounter(Products):
    """Counts the bytes that operators read and write, as `graph.cost` does for float32."""

    def __init__(self, channels: ChannelGraph, module: nn.Module) -> None:
        super().__init__()
        axes = axes_of(channels)
        sizes = {name: value.numel() for name, value in module.named_parameters()}
        weights, activations = Counter[str](), Counter[fx.Node]()
        for node, operator in operators(channels.graph):
            if not computes(node, operator):
                continue
            read = [value for value in node.all_input_nodes if not parameter_of(value)]
            activations.update((*read, node))
            weights.update({name for value in node.all_input_nodes if (name := parameter_of(value))})
        for name, times in weights.items():
            if name in sizes:
                self.add(times * WEIGHT_BYTES * sizes[name], axes.get(name, []))
        for node, times in activations.items():
            _add_elements(self, channels, node, times)


class PeakMemoryCounter(Products):
    """Counts the most bytes of activations that are alive at once, as `graph.cost` does for float32."""

    def __init__(self, channels: ChannelGraph) -> None:
        super().__init__()
        self._graph = channels.graph
        self._nodes = [
            *channels.graph.graph.find_nodes(op="placeholder"),
            *(node for node, _ in operators(channels.graph)),
        ]
        for node in self._nodes:
            _add_elements(self, channels, node, 1)
        self._schedule()

    def remove(self, names: Iterable[int]) -> dict[int, float]:
        """These classes are gone; gives by how much which terms changed."""
        changes = super().remove(names)
        if any(self.terms[place] == 0 for place in changes):
            self._schedule()  # pieces that are gone are neither made nor read
            return changes
        for place, change in changes.items():
            if place in self._alive:
                self._at[self._alive[place]] += change
        return changes

    def lowered_by(self, names: Iterable[int]) -> bool:
        """Whether what goes is alive at a peak."""
        peaks = np.flatnonzero(np.rint(self._at) == round(self._at.max()))
        spans = [self._alive[place] for place in self.touched(names) if place in self._alive]
        return any(((peaks >= span.start) & (peaks < span.stop)).any() for span in spans)

    def __call__(self) -> int:
        """Bytes at the peak of what is left."""
        return round(float(self._at.max(initial=0)))

    def _schedule(self) -> None:
        sizes = dict(zip(self._nodes, self.terms, strict=True))
        absent = {node for node, size in sizes.items() if size == 0}
        found = lifetimes(self._graph, absent)
        self._at: npt.NDArray[np.float64] = np.zeros(len(found.steps))
        places = {node: place for place, node in enumerate(self._nodes)}
        self._alive = {places[node]: slice(first, last + 1) for node, (first, last) in found.of.items()}
        for place, span in self._alive.items():
            self._at[span] += self.terms[place]


def _add_elements(into: Products, channels: ChannelGraph, node: fx.Node, times: int) -> None:
    """The bytes of a node's (first) output."""
    whole = times * ACTIVATION_BYTES * elements(node)
    into.add(whole, classes_along(channels, channels.walk.values.get(node)))
