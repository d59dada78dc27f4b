"""Batches for training and evaluation, as arrays."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from edgekit.data.split import Images, Split, Targets
from edgekit.errors import InputError

SHIFT = 3 / 64
"""The largest random shift, as a share of the picture's side."""


def batches(
    split: Split, batch_size: int, *, rng: np.random.Generator | None, augment: bool
) -> Iterator[tuple[Images, Targets]]:
    """All pictures of a labelled split once, as (images (n, C, H, W), targets (n,)).

    `rng` shuffles (None keeps the order) and draws the augmentation. Batches are of equal size within one
    picture, `batch_size` at most: a last batch of one picture would break batch norm's statistics.
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
        images = split.images(indices)
        if augment and rng is not None:
            images = augmented(images, rng, flips=split.flips)
        yield images, split.targets[indices]


def batch_count(samples: int, batch_size: int) -> int:
    """How many batches `batches` gives."""
    return max(1, -(-samples // batch_size))


def augmented(images: Images, rng: np.random.Generator, *, flips: bool) -> Images:
    """Each picture (n, C, H, W) shifted at random, its edge repeated; with `flips`, half of them mirrored."""
    count, (height, width) = len(images), images.shape[2:]
    reach_y, reach_x = max(1, round(SHIFT * height)), max(1, round(SHIFT * width))
    padded = np.pad(images, ((0, 0), (0, 0), (reach_y, reach_y), (reach_x, reach_x)), mode="edge")
    result = np.empty_like(images)
    tops = rng.integers(2 * reach_y + 1, size=count)
    lefts = rng.integers(2 * reach_x + 1, size=count)
    mirrored = rng.random(count) < (0.5 if flips else 0)
    for index in range(count):
        top, left = tops[index], lefts[index]
        moved = padded[index, :, top : top + height, left : left + width]
        result[index] = moved[..., ::-1] if mirrored[index] else moved
    return result
