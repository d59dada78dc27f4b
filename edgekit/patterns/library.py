"""The few patterns that lose least of a layer's kernels (Lloyd's iteration, as in k-means)."""

from __future__ import annotations

from typing import Any

import numpy as np

Array = np.ndarray[Any, Any]
ROUNDS = 10
"""Assignments settle in fewer."""


def learnt(kernels: Array, entries: int, count: int, size: tuple[int, ...]) -> Array:
    """At most `count` patterns (patterns, places), bool, each of so many places, for kernels (kernels, places).

    `kernels` hold scores, at least 0; `size` is their height and width. Together the patterns reach every border.
    """
    library = _first(kernels, entries, count)
    for _ in range(ROUNDS):
        chosen = assigned(kernels, library)
        sums = np.stack([kernels[chosen == place].sum(0) for place in range(len(library))])
        moved = np.stack(
            [_best(total, entries) if total.any() else old for total, old in zip(sums, library, strict=True)]
        )
        if np.array_equal(moved, library):
            break
        library = moved
    return _to_borders(kernels, np.unique(library, axis=0), size)


def assigned(kernels: Array, library: Array) -> Array:
    """(kernels,): which pattern keeps most of each."""
    return np.asarray((kernels @ library.T.astype(kernels.dtype)).argmax(1))


def _best(scores: Array, entries: int) -> Array:
    mask = np.zeros(scores.size, dtype=bool)
    mask[np.argsort(-scores, kind="stable")[:entries]] = True
    return mask


def _first(kernels: Array, entries: int, count: int) -> Array:
    """One pattern for all kernels together, then each time the own one of the kernel that loses most so far."""
    library = [_best(kernels.sum(0), entries)]
    while len(library) < count:
        kept = (kernels @ np.stack(library).T.astype(kernels.dtype)).max(1)
        worst = int((kernels.sum(1) - kept).argmax())
        own = _best(kernels[worst], entries)
        if any(np.array_equal(own, known) for known in library):
            break
        library.append(own)
    return np.stack(library)


def _to_borders(kernels: Array, library: Array, size: tuple[int, ...]) -> Array:
    """Where no pattern reaches a border, the one that loses least by it swaps a place for the border's best."""
    places = np.arange(size[0] * size[1]).reshape(size)
    borders = (places[0], places[-1], places[:, 0], places[:, -1])
    for border in borders:
        if library[:, border].any():
            continue
        chosen = assigned(kernels, library)
        sums = np.stack([kernels[chosen == place].sum(0) for place in range(len(library))])
        others = [other for other in borders if library[:, other].any()]
        swaps = [
            (float(sums[pattern, out] - sums[pattern, into]), pattern, int(out), int(into))
            for pattern in range(len(library))
            for out in np.flatnonzero(library[pattern])
            for into in border
            if _still_reached(_swapped(library, pattern, int(out), int(into)), others)
        ]
        _, pattern, out, into = min(swaps)
        library = _swapped(library, pattern, out, into)
    return library


def _swapped(library: Array, pattern: int, out: int, into: int) -> Array:
    changed = library.copy()
    changed[pattern, out], changed[pattern, into] = False, True
    return changed


def _still_reached(library: Array, borders: list[Array]) -> bool:
    return all(library[:, border].any() for border in borders)
