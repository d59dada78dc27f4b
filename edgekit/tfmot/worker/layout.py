"""In which order a tensor's axes lie in memory, by PyTorch's numbers: (0, 2, 3, 1) is channels last."""

from __future__ import annotations

from collections.abc import Sequence

Layout = tuple[int, ...]
CHANNELS_LAST: Layout = (0, 2, 3, 1)


def usual(rank: int) -> Layout:
    """Keras's: channels last where there are pictures, else as in PyTorch."""
    return CHANNELS_LAST if rank == len(CHANNELS_LAST) else tuple(range(rank))


def order(now: Layout, wanted: Layout) -> list[int]:
    """The transposition that brings a tensor from one layout into another."""
    return [now.index(axis) for axis in wanted]


def permuted(now: Layout, axes: Sequence[int]) -> Layout:
    """After PyTorch's `permute`: nothing moves, axes have other numbers."""
    return tuple(list(axes).index(axis) for axis in now)


def without(now: Layout, gone: Sequence[int]) -> Layout:
    """After some axes were reduced away."""
    kept = [axis for axis in range(len(now)) if axis not in gone]
    return tuple(kept.index(axis) for axis in now if axis in kept)


def groups(old: Sequence[int], new: Sequence[int]) -> list[tuple[list[int], list[int]]]:
    """Which axes of one shape become which of another: the smallest runs with equal products.

    Both without N, their axes numbered from 1.
    """
    found: list[tuple[list[int], list[int]]] = []
    left, right = 0, 0
    while left < len(old) or right < len(new):
        ours: list[int] = []
        theirs: list[int] = []
        a, b = 1, 1
        while not (ours or theirs) or a != b:
            if a <= b and left < len(old):
                a, left = a * old[left], left + 1
                ours.append(left)
            else:
                b, right = b * new[right], right + 1
                theirs.append(right)
        found.append((ours, theirs))
    return found
