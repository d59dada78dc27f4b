"""Batches for training and evaluation, as arrays."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from edgekit.data.split import Images, Indices, Split, Targets
from edgekit.errors import InputError

Pixelwise = TypeVar("Pixelwise", Images, Targets)

SHIFT = 3 / 64
"""The largest random shift, as a share of the picture's side."""


def batches(
    split: Split,
    batch_size: int,
    *,
    rng: np.random.Generator | None,
    augment: bool,
    part: tuple[int, int] = (0, 1),
) -> Iterator[tuple[Images, Targets]]:
    """All pictures of a labelled split once, as (images (n, C, H, W), targets (n,) or (n, H, W)).

    `rng` shuffles (None keeps the order) and draws the augmentation, in which masks move with their pictures.
    Batches are of equal size within one picture, `batch_size` at most: a last batch of one picture would break
    batch norm's statistics. `part` (i, n): of each batch the i-th of n parts, as the whole would be shuffled and moved.
    Raises `InputError` where the split has no classes, `ValueError` for augmentation without `rng`.
    """
    if split.targets is None:
        raise InputError(
            "this data has no classes", hint="give a folder that holds one folder of pictures a class"
        )
    if augment and rng is None:
        raise ValueError("augmentation draws from rng")
    order = np.arange(len(split)) if rng is None else rng.permutation(len(split))
    for indices in np.array_split(order, batch_count(len(split), batch_size)):
        own = np.array_split(np.arange(len(indices)), part[1])[part[0]]
        images, targets = split.images(indices[own]), split.targets[indices[own]]
        if augment and rng is not None:
            moves = drawn(len(indices), images.shape[2:], rng, flips=split.flips).of(own)
            images = moves.applied(images)
            targets = moves.applied(targets) if targets.ndim == 3 else targets
        yield images, targets


def batch_count(samples: int, batch_size: int) -> int:
    """How many batches `batches` gives."""
    return max(1, -(-samples // batch_size))


def batch_sizes(samples: int, batch_size: int) -> list[int]:
    """How many pictures each of them has."""
    return [len(each) for each in np.array_split(np.arange(samples), batch_count(samples, batch_size))]


@dataclass(frozen=True, eq=False)
class Moves:
    """For each picture of a batch how far it is shifted, and whether it is mirrored."""

    reach: tuple[int, int]
    """The largest shift, in rows and columns."""
    tops: Indices
    lefts: Indices
    mirrored: npt.NDArray[np.bool_]

    def of(self, pictures: Indices) -> Moves:
        """Those of some of the batch's pictures."""
        return replace(
            self,
            tops=self.tops[pictures],
            lefts=self.lefts[pictures],
            mirrored=self.mirrored[pictures],
        )

    def applied(self, values: Pixelwise) -> Pixelwise:
        """Pictures (n, C, H, W) or masks (n, H, W), moved; where they move away, their edge is repeated."""
        height, width = values.shape[-2:]
        around = [(0, 0)] * (values.ndim - 2) + [(reach, reach) for reach in self.reach]
        padded, result = np.pad(values, around, mode="edge"), np.empty_like(values)
        for index, (top, left) in enumerate(zip(self.tops, self.lefts, strict=True)):
            moved = padded[index, ..., top : top + height, left : left + width]
            result[index] = moved[..., ::-1] if self.mirrored[index] else moved
        return result


def drawn(count: int, size: tuple[int, ...], rng: np.random.Generator, *, flips: bool) -> Moves:
    """Random shifts for so many pictures of (H, W) pixels; with `flips`, half of them are mirrored."""
    height, width = size
    reach_y, reach_x = max(1, round(SHIFT * height)), max(1, round(SHIFT * width))
    return Moves(
        reach=(reach_y, reach_x),
        tops=rng.integers(2 * reach_y + 1, size=count),
        lefts=rng.integers(2 * reach_x + 1, size=count),
        mirrored=rng.random(count) < (0.5 if flips else 0),
    )
