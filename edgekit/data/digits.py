"""The built-in demonstration data: scikit-learn's handwritten digits, 1,797 pictures of 8×8 in 16 greys."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgekit.data.split import Data, Part, Pixels, check_size, cut, shuffled
from edgekit.model import Preprocessing

INPUT_SIZE = 64


@dataclass(frozen=True, eq=False)
class GreyArray:
    """Grey pictures (n, H, W) in memory, read as `channels` equal ones."""

    pixels: Pixels
    channels: int

    def read(self, indices: npt.NDArray[np.intp]) -> Pixels:
        """Pictures (n, C, H, W), uint8."""
        return np.repeat(self.pixels[indices][:, None], self.channels, axis=1)


def load_digits(preprocessing: Preprocessing | None = None) -> Data:
    """The digits at the preprocessing's size (64×64 and three channels by default): 1,149 to train on.

    20 % of each class are the test split and 20 % of the rest are `val`; no seed moves them.
    """
    from sklearn import datasets

    ready = preprocessing or preprocessing_for(INPUT_SIZE, 3)
    bunch = datasets.load_digits()
    small = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    targets = bunch.target.astype(np.int64)
    keys = [picture.tobytes() for picture in small]
    store = GreyArray(_resized(small, ready.height, ready.width), ready.channels)
    rest, test = cut(keys, targets, np.arange(len(targets)))
    train, val = cut(keys, targets, rest)

    def part(indices: npt.NDArray[np.intp]) -> Part:
        return Part(store, indices, targets[indices], ready, flips=False)

    return Data(
        name="digits",
        sha256=hashlib.sha256(small.tobytes() + targets.tobytes()).hexdigest(),
        labels=tuple(str(name) for name in bunch.target_names),
        train=part(train),
        val=part(val),
        test=part(test),
        calibration=part(shuffled(keys, train)),
        preprocessing=ready,
        demonstration=True,
    )


def preprocessing_for(input_size: int, channels: int) -> Preprocessing:
    """Square pictures scaled to [-1, 1]."""
    check_size(input_size, channels)
    half = (0.5,) * channels
    return Preprocessing(height=input_size, width=input_size, mean=half, std=half)


def _resized(pictures: Pixels, height: int, width: int) -> Pixels:
    size = (width, height)
    return np.stack(
        [np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR)) for one in pictures]
    )
