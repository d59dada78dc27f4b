"""Disjoint sets of labels (Tarjan 1975), with path halving."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


class UnionFind:
    """Each label starts in a class of its own; the smallest label of a class names it."""

    def __init__(self) -> None:
        self._parent: dict[int, int] = {}

    def find(self, label: int) -> int:
        """The name of the label's class."""
        parent = self._parent
        while (above := parent.get(label, label)) != label:
            parent[label] = parent.get(above, above)
            label = parent[label]
        return label

    def unite(self, left: Sequence[int], right: Sequence[int]) -> None:
        """Put `left[i]` and `right[i]` into one class, for each i."""
        for one, other in zip(left, right, strict=True):
            a, b = self.find(one), self.find(other)
            if a != b:
                self._parent[max(a, b)] = min(a, b)

    def classes(self, labels: Tensor) -> Tensor:
        """The class of each label, in the same shape."""
        return torch.tensor(
            [self.find(label) for label in labels.flatten().tolist()], dtype=torch.int64
        ).reshape(labels.shape)
