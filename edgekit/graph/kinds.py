"""Classes of labels that live or die together, and kinds of classes that can stand in for each other.

Two classes are of one kind when they hold channels of the same layers that took the same paths: a smaller
network's channels are then matched to those that are kept, kind by kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from edgekit.graph.labels.value import label, path
from edgekit.graph.labels.walk import MisfitError, Walk
from edgekit.graph.union_find import connected


@dataclass(frozen=True)
class Classes:
    """For each label, int64 tensors (labels,)."""

    classes: Tensor
    """The class of a label, named by its smallest label; 0 for label 0."""
    kinds: Tensor
    """The kind of the class of that name."""
    label_kinds: Tensor
    """The producer and the paths of a label, as one number."""
    there: Tensor
    """Whether the walked network has the label (bool)."""


def sorted_into_classes(walk: Walk) -> Classes:
    """Classes and kinds of what a walk found; raises `MisfitError` where one parameter would need two sizes."""
    count = walk.book.labels
    classes = connected(count, [*walk.met, *_shared(walk)])
    there = torch.zeros(count, dtype=torch.bool)
    label_kinds = torch.zeros(count, dtype=torch.int64)
    firsts = [*walk.book.first_label.values(), count]
    for number, (producer, first) in enumerate(walk.book.first_label.items()):
        end = first + walk.widths.get(producer, firsts[number + 1] - first)
        there[first:end] = True
        label_kinds[first:end] = mixed(torch.tensor(-1 - number))
    for tokens, times in walk.steps:
        label_kinds.index_add_(0, label(tokens), mixed(mixed(path(tokens)) + times))
    kinds = torch.zeros(count, dtype=torch.int64).index_add_(0, classes[there], label_kinds[there])
    return Classes(classes, kinds, label_kinds, there)


def _shared(walk: Walk) -> list[tuple[Tensor, Tensor]]:
    """What meets one axis of one parameter at two nodes."""
    first: dict[tuple[str, int], Tensor] = {}
    pairs = []
    for uses in walk.uses.values():
        for use in uses:
            other = first.setdefault((use.parameter, use.axis), use.tokens)
            if other.shape != use.tokens.shape:
                raise MisfitError(
                    f"{use.parameter} would be read with {other.numel()} and {use.tokens.numel()} channels"
                )
            if other is not use.tokens:
                pairs.append((label(other).flatten(), label(use.tokens).flatten()))
    return pairs


def mixed(numbers: Tensor) -> Tensor:
    """Each integer as 64 well-mixed bits (splitmix64, Steele et al. 2014), so that sums of them tell sets apart."""
    with np.errstate(over="ignore"):
        bits = np.atleast_1d(numbers.numpy()).astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
        bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        bits = bits ^ (bits >> np.uint64(31))
    return torch.from_numpy(bits.view(np.int64))
