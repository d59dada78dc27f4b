"""What all walks over one network share: numbers for labels and paths, and how axes were split."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from edgekit.graph.labels.value import LABELS, broadcast, label, path

Axis = tuple[str, int]
"""A parameter or buffer by its full name, and one of its axes."""


@dataclass
class Book:
    """Filled by the walk over the network as it is; walks over smaller copies only look up (and add paths)."""

    first_label: dict[Axis, int] = field(default_factory=dict)
    """The first label of each producer: an output axis of a weight, or an axis of a parameter used as a value."""
    labels: int = 1
    """How many there are, with label 0."""
    scaled: dict[tuple[str, int, int], int] = field(default_factory=dict)
    """(node, plane, first axis of the split) → the axis, of those it is split into, that shrinks with the channels."""
    _paths: dict[tuple[int, str, int], int] = field(default_factory=dict)

    def label(self, producer: Axis, count: int) -> int:
        """The first of `count` labels of a producer."""
        if producer not in self.first_label:
            self.first_label[producer] = self.labels
            self.labels += count
        return self.first_label[producer]

    def step(self, tokens: Tensor, cells: Tensor, node: str) -> Tensor:
        """The tokens after a node that puts them into cells (int64, broadcast): their paths are one step longer."""
        tokens, cells = broadcast(tokens, cells)
        width = int(cells.max()) + 1
        ways, where = torch.unique(path(tokens) * width + cells, return_inverse=True)
        numbers = [self._path(way // width, node, way % width) for way in ways.tolist()]
        labels = label(tokens)
        return torch.where(labels == 0, 0, torch.tensor(numbers)[where] * LABELS + labels)

    def _path(self, before: int, node: str, cell: int) -> int:
        return self._paths.setdefault((before, node, cell), len(self._paths) + 1)
