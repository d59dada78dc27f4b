"""Pictures that are ready for a network, in parts that never mix."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from edgekit.errors import InputError
from edgekit.model import Preprocessing
from edgekit.request import Size, height_width

Pixels = npt.NDArray[np.uint8]
Images = npt.NDArray[np.float32]
Targets = npt.NDArray[np.integer[Any]]
Indices = npt.NDArray[np.intp]

HELD_OUT = 0.2
"""The share of pictures that a cut sets apart, of each class."""


class Split(Protocol):
    """A fixed sequence of pictures, with classes where they are known."""

    @property
    def targets(self) -> Targets | None:
        """Class indices, (n,) of pictures or (n, H, W) of their pixels, or None where nobody knows them."""
        ...

    @property
    def flips(self) -> bool:
        """Whether a mirrored picture is still one of its class: photographs, not digits or text."""
        ...

    def __len__(self) -> int: ...

    def images(self, indices: Indices) -> Images:
        """Preprocessed pictures (n, C, H, W), float32."""
        ...


class Store(Protocol):
    """Decoded and resized pictures."""

    def read(self, indices: Indices) -> Pixels:
        """Pictures (n, C, H, W), uint8."""
        ...


@dataclass(frozen=True, eq=False)
class Part:
    """The `Split` of some of a store's pictures."""

    store: Store
    indices: Indices
    targets: Targets | None
    preprocessing: Preprocessing
    flips: bool

    def __len__(self) -> int:
        return len(self.indices)

    def images(self, indices: Indices) -> Images:
        """Preprocessed pictures (n, C, H, W), float32."""
        return normalise(self.store.read(self.indices[indices]), self.preprocessing)


@dataclass(frozen=True, eq=False)
class Chosen:
    """The `Split` of some pictures of a labelled one."""

    whole: Split
    indices: Indices

    @property
    def targets(self) -> Targets | None:
        """Those of the pictures chosen."""
        return None if self.whole.targets is None else self.whole.targets[self.indices]

    @property
    def flips(self) -> bool:
        """As of the whole."""
        return self.whole.flips

    def __len__(self) -> int:
        return len(self.indices)

    def images(self, indices: Indices) -> Images:
        """Preprocessed pictures (n, C, H, W), float32."""
        return self.whole.images(self.indices[indices])


@dataclass(frozen=True, eq=False)
class Data:
    """A data set in its parts; a part that it cannot give is None.

    `val` is what decisions are taken on; `test` is read once, for the final report. `calibration` comes in
    a fixed random order, so that its first pictures are a fair draw, and shares pictures with `train` only.
    """

    name: str
    sha256: str
    """Of the content: relative names and bytes."""
    labels: tuple[str, ...]
    """Class names in the order of the targets; empty where there are none."""
    train: Split | None
    val: Split | None
    test: Split | None
    calibration: Split
    preprocessing: Preprocessing
    demonstration: bool = False
    """Built-in data, there to show that the pipeline works."""
    skipped: tuple[str, ...] = ()
    """Files that are no pictures, left out because the caller allowed it."""

    @property
    def labelled(self) -> bool:
        """Whether accuracy can be told."""
        return bool(self.labels)


def check_size(input_size: Size, channels: int) -> None:
    """Raise `InputError` for pictures that nobody can mean."""
    for name, pixels in zip(("high", "wide"), height_width(input_size), strict=True):
        if not 1 <= pixels <= 4096:
            raise InputError(
                f"pictures cannot be {pixels} pixels {name}", hint="give an input size such as 224 or 240x320"
            )
    if channels not in (1, 3):
        raise InputError(f"pictures cannot have {channels} channels", hint="1 reads them as grey, 3 as RGB")


def normalise(pixels: Pixels, preprocessing: Preprocessing) -> Images:
    """(pixels / 255 - mean) / std per channel; (n, C, H, W) uint8 → float32."""
    mean = np.asarray(preprocessing.mean, dtype=np.float32).reshape(1, -1, 1, 1)
    std = np.asarray(preprocessing.std, dtype=np.float32).reshape(1, -1, 1, 1)
    return (pixels.astype(np.float32) / np.float32(255) - mean) / std


def cut(
    keys: Sequence[bytes], targets: Targets, indices: Indices, share: float = HELD_OUT
) -> tuple[Indices, Indices]:
    """Cut `indices` into what stays and what is held out: a share of each class, at least one picture.

    Pictures are ranked by the hash of their content (`keys`): the cut knows no seed and no library's
    generator, equal pictures fall on one side (but for those that meet the border), and new files hardly
    move old ones.
    """
    held_out: list[int] = []
    for target in np.unique(targets[indices]):
        ranked = shuffled(keys, indices[targets[indices] == target])
        held_out.extend(ranked[: max(1, round(share * len(ranked)))].tolist())
    chosen = np.sort(np.asarray(held_out, dtype=np.intp))
    return np.setdiff1d(indices, chosen), chosen


def shuffled(keys: Sequence[bytes], indices: Indices) -> Indices:
    """`indices` in an order that only the pictures' content decides."""
    ranked = sorted(indices.tolist(), key=lambda index: (hashlib.sha256(keys[index]).digest(), index))
    return np.asarray(ranked, dtype=np.intp)
