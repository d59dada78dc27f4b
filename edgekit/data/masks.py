"""From the bytes of a mask file to class indices of the network's size."""

from __future__ import annotations

import io
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from edgekit.data.listing import shown
from edgekit.data.pictures import DECODER_ERRORS, BadPictureError, upright_size
from edgekit.data.split import Pixels
from edgekit.errors import InputError

FULL = 255
"""White: the foreground of a mask with one class, and no class among several."""


@dataclass(frozen=True, eq=False)
class Masks:
    """Masks that were read whole."""

    pixels: Pixels
    """(n, H, W), class indices."""
    labels: tuple[str, ...]
    """One name where there is one class and a background; else all names, the background's first."""


def decode_mask(data: bytes) -> Pixels:
    """The values (H, W) uint8 of a grey or palette mask, as they are stored. Raises `BadPictureError`."""
    try:
        with Image.open(io.BytesIO(data), formats=("PNG",)) as file:
            file.load()
            if file.mode not in ("1", "L", "P"):
                raise BadPictureError(f"it holds {file.mode} pixels, not one class index of 8 bits each")
            return np.array(file, dtype=np.uint8)
    except DECODER_ERRORS as error:
        raise BadPictureError(str(error) or type(error).__name__) from error


def check_size(mask: Pixels, mask_path: Path, picture: bytes, picture_path: Path) -> None:
    """Raise `InputError` unless a mask (H, W) has the size of its picture, upright."""
    width, height = upright_size(picture)
    if mask.shape != (height, width):
        raise InputError(
            f"the mask {shown(mask_path)} is {mask.shape[1]}×{mask.shape[0]}, its picture "
            f"{shown(picture_path)} {width}×{height}",
            hint="a mask has one pixel for each of its picture",
        )


def resized(mask: Pixels, height: int, width: int) -> Pixels:
    """The class of the nearest pixel: (H', W') → (height, width)."""
    return np.asarray(Image.fromarray(mask).resize((width, height), Image.Resampling.NEAREST))


def as_classes(
    pixels: Pixels, values: Mapping[Path, frozenset[int]], known: frozenset[int], names: tuple[str, ...]
) -> Masks:
    """Stored values (n, H, W) as class indices.

    `values`: those of each mask before it was resized; `known`: those in masks that are trained on; `names`: the
    user's, the background first, or none. Without names there is one class where masks hold 0 and 255, or 0 and
    1; else as many as the largest index says. Raises `InputError` that names a mask with a value that is no class.
    """
    if known < {0, FULL} or known in ({0}, {1}):
        raise InputError(
            f"{shown(next(iter(values)))} and all other masks hold {min(known)} only",
            hint="0 is the background; the class is 1 or 255",
        )
    if known == {0, FULL} and len(names) in (0, 2):
        pixels, values = (
            pixels == FULL,
            {path: frozenset(map(_foreground, held)) for path, held in values.items()},
        )
        known = frozenset({0, 1})
    count = len(names) or max(known - {FULL}) + 1
    for path, held in values.items():
        if (highest := max(held)) >= count:
            raise _no_class(highest, path, names)
    if not names and (missing := sorted(set(range(count)) - known)):
        highest_in = next(path for path, held in values.items() if count - 1 in held)
        raise InputError(
            f"the mask {shown(highest_in)} holds {count - 1}, and none holds {missing[0]}",
            hint="number the classes 0 (background), 1, 2, … without gaps, or name them all in classes.txt",
        )
    default = (
        ("background", *(f"class {index}" for index in range(1, count))) if count > 2 else ("", "foreground")
    )
    labels = names or default
    return Masks(pixels.astype(np.uint8), labels if count > 2 else labels[1:])


def _foreground(value: int) -> int:
    return {FULL: 1, 1: FULL}.get(value, value)  # a 1 among 255s is no class


def _no_class(value: int, path: Path, names: tuple[str, ...]) -> InputError:
    hint = (
        f"classes.txt names {len(names)}: 0 to {len(names) - 1}"
        if names
        else "values are 0 and 255, or 0 (background), 1, 2, … as they are in the masks that are trained on"
    )
    return InputError(f"the mask {shown(path)} holds {value}, which is no class", hint=hint)
