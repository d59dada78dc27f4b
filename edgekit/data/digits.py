"""The built-in demonstration data: scikit-learn's handwritten digits, 1,797 pictures of 8×8 in 16 greys."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from edgekit.data.split import Data, Indices, Part, Pixels, check_size, cut, shuffled
from edgekit.model import Preprocessing
from edgekit.request import Size, height_width

INPUT_SIZE = 64


@dataclass(frozen=True, eq=False)
class GreyArray:
    """Grey pictures (n, H, W) in memory, read as `channels` equal ones."""

    pixels: Pixels
    channels: int

    def read(self, indices: npt.NDArray[np.intp]) -> Pixels:
        """Pictures (n, C, H, W), uint8."""
        return np.repeat(self.pixels[indices][:, None], self.channels, axis=1)


@dataclass(frozen=True, eq=False)
class Digits:
    """The pictures as they come, and the cut that no seed moves."""

    pictures: Pixels
    """(1797, 8, 8)."""
    targets: npt.NDArray[np.int64]
    names: tuple[str, ...]
    keys: list[bytes]
    train: Indices
    val: Indices
    test: Indices

    @property
    def sha256(self) -> str:
        """Of pictures and classes."""
        return hashlib.sha256(self.pictures.tobytes() + self.targets.tobytes()).hexdigest()


def cut_digits() -> Digits:
    """All digits: 20 % of each class are the test split and 20 % of the rest are `val`; 1,151 are to train on."""
    from sklearn import datasets

    bunch = datasets.load_digits()
    pictures = np.round(bunch.images * (255 / 16)).astype(np.uint8)
    targets = bunch.target.astype(np.int64)
    keys = [picture.tobytes() for picture in pictures]
    rest, test = cut(keys, targets, np.arange(len(targets)))
    train, val = cut(keys, targets, rest)
    names = tuple(str(name) for name in bunch.target_names)
    return Digits(pictures, targets, names, keys, train, val, test)


def load(ready: Preprocessing) -> Data:
    """The digits at the preprocessing's size."""
    digits = cut_digits()
    store = GreyArray(_resized(digits.pictures, ready.height, ready.width), ready.channels)

    def part(indices: Indices) -> Part:
        return Part(store, indices, digits.targets[indices], ready, flips=False)

    return Data(
        name="digits",
        sha256=digits.sha256,
        labels=digits.names,
        train=part(digits.train),
        val=part(digits.val),
        test=part(digits.test),
        calibration=part(shuffled(digits.keys, digits.train)),
        preprocessing=ready,
        demonstration=True,
    )


def preprocessing_for(input_size: Size, channels: int) -> Preprocessing:
    """Pictures scaled to [-1, 1]."""
    check_size(input_size, channels)
    height, width = height_width(input_size)
    half = (0.5,) * channels
    return Preprocessing(height=height, width=width, mean=half, std=half)


def _resized(pictures: Pixels, height: int, width: int) -> Pixels:
    size = (width, height)
    return np.stack(
        [np.asarray(Image.fromarray(one).resize(size, Image.Resampling.BILINEAR)) for one in pictures]
    )
