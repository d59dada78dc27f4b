"""Sums of products of channel counts, kept up to date while channels leave."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from edgekit.graph.channels import ChannelGraph
from edgekit.graph.labels.value import Plane, Value


class Products:
    """A sum of terms, each a constant times what is left along some axes; classes know which terms they are in."""

    def __init__(self) -> None:
        self._met: list[tuple[Tensor, Tensor, Tensor]] = []
        """Of each factor: the classes along it, how often each occurs, and (as often) the factor."""
        self._index: tuple[list[int], list[int], list[int]] | None = None
        self._counts: list[int] = []
        self._term_of: list[int] = []
        self._factors: list[tuple[int, ...]] = []
        self._each: list[float] = []
        self.terms: list[float] = []
        self._total = 0.0

    def __call__(self) -> int:
        """The sum of what is left."""
        return round(self._total)

    def add(self, whole: float, axes: Sequence[Tensor]) -> int:
        """A term that is `whole` now and shrinks with each of `axes` (classes, int64); gives its place."""
        term, factors, each = len(self._each), [], float(whole)
        for classes in axes:
            factor = len(self._counts)
            self._counts.append(classes.numel())
            self._term_of.append(term)
            factors.append(factor)
            each /= classes.numel()
            names, times = torch.unique(classes, return_counts=True)
            self._met.append((names, times, torch.full_like(names, factor)))
        self._factors.append(tuple(factors))
        self._each.append(each)
        self.terms.append(float(whole))
        self._total += whole
        self._index = None
        return term

    def lowered_by(self, names: Iterable[int]) -> bool:
        """Whether the sum falls when these classes go."""
        return bool(self.touched(names))

    def touched(self, names: Iterable[int]) -> set[int]:
        """The places of the terms that shrink with these classes."""
        return {self._term_of[factor] for name in names for factor, _ in self._where(name)}

    def remove(self, names: Iterable[int]) -> dict[int, float]:
        """These classes are gone; gives by how much which terms changed."""
        stale: set[int] = set()
        for name in names:
            for factor, times in self._where(name):
                self._counts[factor] -= times
                stale.add(self._term_of[factor])
        changes = {}
        for index in stale:
            new = self._each[index] * math.prod(self._counts[factor] for factor in self._factors[index])
            changes[index] = new - self.terms[index]
            self.terms[index] = new
        self._total += sum(changes.values())
        return changes

    def _where(self, name: int) -> Iterable[tuple[int, int]]:
        """The factors that a class is in, and how often it is in each."""
        if self._index is None:
            self._index = self._sorted()
        starts, factors, times = self._index
        if name + 1 >= len(starts):
            return ()
        own = slice(starts[name], starts[name + 1])
        return zip(factors[own], times[own], strict=True)

    def _sorted(self) -> tuple[list[int], list[int], list[int]]:
        """Factors and times by class, and where each class's begin: a network has tens of thousands."""
        none = torch.zeros(0, dtype=torch.int64)
        names, times, factors = (torch.cat([none, *(met[part] for met in self._met)]) for part in range(3))
        order = torch.argsort(names, stable=True)
        starts = torch.bincount(names).cumsum(0).tolist()
        return [0, *starts], factors[order].tolist(), times[order].tolist()


def classes_along(channels: ChannelGraph, value: object, axis: int | None = None) -> list[Tensor]:
    """The classes along the channel axes of a walk's value (or along one axis): what its size is proportional to.

    None where walks stop at it: all stays there. Of several tensors the first counts.
    """
    if isinstance(value, list):
        value = next((part for part in value if isinstance(part, Value)), None)
    if not isinstance(value, Value):
        return []
    planes = value.planes if axis is None else value.at(axis % value.rank)
    return [channels.classes_of(_rows(plane)) for plane in planes]


def _rows(plane: Plane) -> Tensor:
    return (
        plane.tokens.movedim(plane.axis, -1).flatten(0, -2) if plane.tokens.dim() > 1 else plane.tokens[None]
    )
