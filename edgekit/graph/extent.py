"""Which input pixels each output sees along one axis, exactly, through pooling and through upsampling."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from fractions import Fraction

Taps = Callable[[int], Iterable[int]]
"""Output index → the indices that it reads."""


@dataclass(frozen=True)
class Extent:
    """First and last pixel that outputs 0, 1, … see; after `len(first)` outputs all repeats, `advance` pixels on.

    Neighbours see alike until something is upsampled: then the outputs between two pixels differ. Borders are
    not looked at: an extent may reach over them.
    """

    first: tuple[int, ...] = (0,)
    last: tuple[int, ...] = (0,)
    advance: int = 1

    @property
    def size(self) -> int:
        """Pixels that the output which sees most sees."""
        return max(last - first for first, last in zip(self.first, self.last, strict=True)) + 1

    @property
    def stride(self) -> Fraction:
        """Pixels from one output to the next, on average."""
        return Fraction(self.advance, len(self.first))

    def at(self, index: int) -> tuple[int, int]:
        """First and last pixel of one output."""
        turns, place = divmod(index, len(self.first))
        return self.first[place] + turns * self.advance, self.last[place] + turns * self.advance

    def through(self, taps: Taps, rate: Fraction) -> Extent:
        """What the outputs of an operator see whose output o reads `taps(o)`, `rate` further for each."""
        period = len(self.first)
        outputs = rate.denominator * period // math.gcd(period, rate.numerator)
        seen = [[self.at(index) for index in taps(output)] for output in range(outputs)]
        return Extent(
            tuple(min(first for first, _ in pixels) for pixels in seen),
            tuple(max(last for _, last in pixels) for pixels in seen),
            int(self.stride * rate * outputs),
        )

    def widened(self, size: int) -> Extent:
        """The same places, and `size` pixels (at least as many as now) around each."""
        grown = [(size - (last - first + 1)) for first, last in zip(self.first, self.last, strict=True)]
        first = tuple(first - more // 2 for first, more in zip(self.first, grown, strict=True))
        return Extent(first, tuple(place + size - 1 for place in first), self.advance)

    def joined(self, other: Extent) -> Extent:
        """Both together, output by output.

        Where they do not advance alike (a broadcast; an odd size that was halved and doubled) they have no common
        places: then as many pixels as the wider sees, around those of the one that advances further.
        """
        if self.stride != other.stride:
            further = max(self, other, key=lambda extent: extent.stride)
            return further.widened(max(self.size, other.size))
        count = math.lcm(len(self.first), len(other.first))
        both = [(self.at(index), other.at(index)) for index in range(count)]
        return Extent(
            tuple(min(one[0], two[0]) for one, two in both),
            tuple(max(one[1], two[1]) for one, two in both),
            int(self.stride * count),
        )


PIXEL = Extent()
"""Each output sees the pixel at its own place."""


def window(extent: Extent, *, kernel: int, stride: int = 1, padding: int = 0, dilation: int = 1) -> Extent:
    """Through a convolution or a pooling."""

    def taps(output: int) -> list[int]:
        return [output * stride - padding + dilation * tap for tap in range(kernel)]

    return extent.through(taps, Fraction(stride))


def transposed(extent: Extent, *, kernel: int, stride: int, padding: int = 0, dilation: int = 1) -> Extent:
    """Through a transposed convolution; an output that no tap reaches is given its neighbour's pixels."""

    def taps(output: int) -> list[int]:
        reached = [output + padding - dilation * tap for tap in range(kernel)]
        return [place // stride for place in reached if place % stride == 0] or [output // stride]

    return extent.through(taps, Fraction(1, stride))


def resized(extent: Extent, *, before: int, after: int, reach: int) -> Extent:
    """Through a resize between half-pixel centres: `reach` pixels on either side, unless one lies there exactly.

    0 is nearest, 1 bilinear, 2 bicubic.
    """
    rate = Fraction(before, after)

    def taps(output: int) -> Iterable[int]:
        if reach == 0:
            return [math.floor(output * rate)]
        place = (output + Fraction(1, 2)) * rate - Fraction(1, 2)
        left = math.floor(place)
        return [left] if place == left else range(left - reach + 1, left + reach + 1)

    return extent.through(taps, rate)


def moved(extent: Extent, start: int, step: int = 1) -> Extent:
    """Through a slice from `start`, a padding of `-start`, a roll by `-start`."""
    return extent.through(lambda output: [start + output * step], Fraction(step))
