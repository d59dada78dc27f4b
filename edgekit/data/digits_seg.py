"""The built-in demonstration data for segmentation: handwritten digits among clutter, with their masks.

After the idea of M2NIST, on scikit-learn's digits: each picture holds one to four of them, of several sizes, on
an uneven ground with strokes that are no digits. Pictures of a split are made of that split's digits only.
Masks tell digits from the rest (`digits-seg`), or from each other too (`digits-seg-10`), on the same pictures.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
from PIL import Image

from edgekit.data.digits import GreyArray, cut_digits
from edgekit.data.split import Data, Indices, Part, Pixels
from edgekit.errors import InputError
from edgekit.model import Preprocessing

INPUT_SIZE = 128
PICTURES = {"train": 960, "val": 160, "test": 240}
SIDES = (0.22, 0.42)
"""Smallest and largest digit, as a share of the canvas."""
INK = 110
"""From this grey on (of 255) a pixel of an enlarged digit belongs to its mask."""
STROKES = 6
LEAST = 8
"""The least digit, and so the least canvas, in pixels."""


@dataclass(frozen=True, eq=False)
class Scene:
    """One picture and its mask, both (H, W) uint8."""

    picture: Pixels
    mask: Pixels


def load(ready: Preprocessing, *, each: bool = False) -> Data:
    """The scenes at the preprocessing's size; no seed moves them.

    One class, `digit`: masks (n, H, W) are 1 on digits and 0 elsewhere; with `each` they are 1 on zeros, 2 on
    ones, … 10 on nines. Raises `InputError` for a canvas that no digit fits on.
    """
    if min(ready.height, ready.width) < LEAST:
        raise InputError(
            f"no digit fits on {ready.height}×{ready.width} pixels", hint=f"--input-size {LEAST} or more"
        )
    digits = cut_digits()
    own = {"train": digits.train, "val": digits.val, "test": digits.test}
    values = (digits.targets + 1 if each else np.ones_like(digits.targets)).astype(np.uint8)
    size = ready.height, ready.width
    scenes = [
        scene(digits.pictures[own[part]], values[own[part]], np.random.default_rng((place, index)), *size)
        for place, (part, count) in enumerate(PICTURES.items())
        for index in range(count)
    ]
    pictures, masks = (np.stack([getattr(one, name) for one in scenes]) for name in ("picture", "mask"))
    store = GreyArray(pictures, ready.channels)

    def part(indices: Indices) -> Part:
        return Part(store, indices, masks[indices], ready, flips=False)

    train, val, test = np.split(np.arange(len(scenes)), np.cumsum(list(PICTURES.values()))[:-1])
    return Data(
        name="digits-seg-10" if each else "digits-seg",
        sha256=hashlib.sha256(pictures.tobytes() + masks.tobytes()).hexdigest(),
        labels=("background", *digits.names) if each else ("digit",),
        train=part(train),
        val=part(val),
        test=part(test),
        calibration=part(train),  # scenes are drawn at random: the first are a fair draw
        preprocessing=ready,
        demonstration=True,
    )


def scene(digits: Pixels, values: Pixels, rng: np.random.Generator, height: int, width: int) -> Scene:
    """One to four of `digits` (n, 8, 8) on clutter, in the mask by their `values` (n,)."""
    picture = _ground(rng, height, width)
    for _ in range(rng.integers(STROKES + 1)):
        _stroke(picture, rng)
    mask = np.zeros((height, width), dtype=np.uint8)
    for _ in range(rng.integers(1, 5)):
        drawn = rng.integers(len(digits))
        top, left, ink = _place(picture, digits[drawn], rng)
        there = mask[top : top + len(ink), left : left + len(ink)]
        there[ink >= INK] = values[drawn]
    noise = rng.integers(-12, 13, size=picture.shape)
    return Scene(np.clip(picture + noise, 0, 255).astype(np.uint8), mask)


def _ground(rng: np.random.Generator, height: int, width: int) -> Pixels:
    """Slow changes between black and a third of white."""
    coarse = Image.fromarray(rng.integers(0, 90, size=(4, 4)).astype(np.uint8))
    return np.array(coarse.resize((width, height), Image.Resampling.BICUBIC))


def _stroke(picture: Pixels, rng: np.random.Generator) -> None:
    """A straight line, one to two pixels thick, as bright as digits may be."""
    height, width = picture.shape
    (top, bottom), (left, right) = rng.integers(0, height, size=2), rng.integers(0, width, size=2)
    steps = max(height, width)
    rows, columns = np.linspace(top, bottom, steps).round(), np.linspace(left, right, steps).round()
    grey, thick = rng.integers(90, 220), rng.integers(1, 3)
    for offset in range(thick):
        picture[rows.astype(int), np.minimum(columns.astype(int) + offset, width - 1)] = grey


def _place(picture: Pixels, digit: Pixels, rng: np.random.Generator) -> tuple[int, int, Pixels]:
    """A digit somewhere, in some size and brightness, over what is there; gives its corner and its ink."""
    height, width = picture.shape
    side = max(LEAST, round(rng.uniform(*SIDES) * min(height, width)))
    ink = np.asarray(Image.fromarray(digit).resize((side, side), Image.Resampling.BILINEAR))
    top, left = int(rng.integers(height - side + 1)), int(rng.integers(width - side + 1))
    there = np.s_[top : top + side, left : left + side]
    grey = rng.uniform(0.7, 1.0) * ink
    picture[there] = np.maximum(picture[there], grey.astype(np.uint8))
    return top, left, ink
