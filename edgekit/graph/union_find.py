"""Disjoint sets of labels: the smallest label of a class names it."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def connected(count: int, pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    """The class of each label 0 … count - 1, int64, when `left[i]` and `right[i]` of each pair are in one class.

    Hooks each class onto the smallest one that it meets and halves the paths, until nothing moves
    (Shiloach and Vishkin 1982).
    """
    parent = torch.arange(count)
    if not pairs:
        return parent
    left = torch.cat([one.reshape(-1) for one, _ in pairs])
    right = torch.cat([two.reshape(-1) for _, two in pairs])
    while True:
        a, b = parent[left], parent[right]
        apart = a != b
        if not bool(apart.any()):
            return parent
        left, right, a, b = left[apart], right[apart], a[apart], b[apart]
        parent.scatter_reduce_(0, torch.maximum(a, b), torch.minimum(a, b), "amin")
        while not torch.equal(above := parent[parent], parent):
            parent = above
