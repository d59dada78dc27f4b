"""Where the names of points go so that they cover neither each other nor the points."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

Point = tuple[float, float]
Box = tuple[float, float, float, float]
"""Left, bottom, right, top."""

CHARACTER: Final = 6.2
"""Width of an average character of a label, in the plot's units; a label is a little over two high."""
LINE: Final = 13.0
POINT: Final = 7.0
"""Half the side of the square that a point's marker is given."""


def place_labels(points: Sequence[Point], texts: Sequence[str], *, bounds: Box) -> list[Point]:
    """For each point the offset of its label's left middle; the first of rings of places that covers nothing.

    Greedy, so the same input gives the same places; where all are, the one that covers least.
    """
    taken = [(x - POINT, y - POINT, x + POINT, y + POINT) for x, y in points]
    offsets = []
    for (x, y), text in zip(points, texts, strict=True):
        width = CHARACTER * len(text)
        choices = _choices(width)
        boxes = [(x + dx, y + dy - LINE / 2, x + dx + width, y + dy + LINE / 2) for dx, dy in choices]
        costs = [_outside(box, bounds) + sum(_overlap(box, other) for other in taken) for box in boxes]
        best = costs.index(min(costs))
        offsets.append(choices[best])
        taken.append(boxes[best])
    return offsets


def _choices(width: float) -> list[Point]:
    """Above, below, right and left of the point, nearest first."""
    return [
        place
        for far in (0.0, 14.0, 28.0, 42.0, 56.0)
        for place in (
            (-width / 2, 16 + far),
            (-width / 2, -16 - far),
            (11.0, 12 + far),
            (11.0, -12 - far),
            (-width - 11, 12 + far),
            (-width - 11, -12 - far),
        )
    ]


def _overlap(one: Box, other: Box) -> float:
    wide = min(one[2], other[2]) - max(one[0], other[0])
    high = min(one[3], other[3]) - max(one[1], other[1])
    return wide * high if wide > 0 and high > 0 else 0.0


def _outside(box: Box, bounds: Box) -> float:
    """How much of the label leaves the plot; that is worse than covering something."""
    area = (box[2] - box[0]) * (box[3] - box[1])
    return 10 * (area - _overlap(box, bounds))
