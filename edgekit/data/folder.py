"""A folder of pictures as data.

Three forms are understood:

- `train/CLASS/*`, `val/CLASS/*`: `val/` is the held-out test split, and the split that decisions are taken
  on is cut from `train/`. With `test/CLASS/*` too, all three serve as they are named.
- `CLASS/*`: cut into three parts, class by class.
- loose pictures: for calibration alone, nothing is known of their classes.

Pictures may lie in folders below their class folder. Hidden files and what operating systems leave behind
(`Thumbs.db`) are ignored, and so are files other than pictures beside the class folders (a README, a list of
labels). Inside a class folder, or among loose pictures, every file has to be a picture, whatever its name
ends in: what is not is refused, so that nothing is lost in silence, or left out and told with `skip_bad`.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgekit.data.listing import Listing, list_folder, shown
from edgekit.data.split import Data, Part, Targets, check_size, cut, shuffled
from edgekit.data.store import FileStore
from edgekit.errors import InputError
from edgekit.model import Preprocessing
from edgekit.progress import Progress, Silent
from edgekit.request import Size, height_width

INPUT_SIZE = 224

Indices = npt.NDArray[np.intp]


def preprocessing_for(input_size: Size, channels: int) -> Preprocessing:
    """ImageNet's mean and standard deviation, which pretrained weights expect (their averages for grey)."""
    check_size(input_size, channels)
    height, width = height_width(input_size)
    if channels == 1:
        return Preprocessing(height=height, width=width, mean=(0.449,), std=(0.226,))
    mean, std = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
    return Preprocessing(height=height, width=width, mean=mean, std=std)


def load_folder(
    path: Path, preprocessing: Preprocessing, *, skip_bad: bool = False, progress: Progress | None = None
) -> Data:
    """List, read and cut a folder; every file is decoded once here, so that none fails later.

    Raises `InputError` for a folder that is missing, empty, of one class, or with too few pictures of a
    class, and for files that are no whole pictures, unless `skip_bad` leaves them out.
    """
    progress = progress or Silent()
    listing = list_folder(path)
    store = FileStore(preprocessing, len(listing.files))
    bad = dict(store.scan([file.path for file in listing.files], progress))
    bad |= dict.fromkeys(listing.strays, "beside the class folders, so of no class")
    skipped = tuple(shown(one.relative_to(path)) for one in bad)
    if bad and not skip_bad:
        raise bad_files(path, bad)
    if bad:
        progress.say(f"left out {len(bad)} files that are no pictures: {', '.join(skipped[:5])}")
    good = replace(listing, files=[file for file in listing.files if file.path not in bad])
    if not good.files:
        raise InputError(f"{shown(path)} holds no pictures")
    return _assembled(good, store, preprocessing, skipped)


def _assembled(
    listing: Listing, store: FileStore, preprocessing: Preprocessing, skipped: tuple[str, ...]
) -> Data:
    targets = np.asarray([file.target for file in listing.files], dtype=np.int64)
    keys = [picture.sha256 for picture in store.pictures]
    flips = flips_for(store)

    def part(indices: Indices) -> Part:
        return Part(store, indices, targets[indices] if listing.labels else None, preprocessing, flips=flips)

    parts = _cut(listing, targets, keys) if listing.labels else {}
    return Data(
        name=listing.folder.resolve().name,
        sha256=_content(listing.folder, store),
        labels=listing.labels,
        train=part(parts["train"]) if parts else None,
        val=part(parts["val"]) if parts else None,
        test=part(parts["test"]) if parts else None,
        calibration=part(shuffled(keys, parts.get("train", np.arange(len(keys))))),
        preprocessing=preprocessing,
        skipped=skipped,
    )


def flips_for(store: FileStore) -> bool:
    """Pictures in colour are taken for photographs, whose mirror image is as good; scans and digits are grey."""
    return sum(picture.colour for picture in store.pictures) * 2 > len(store.pictures)


def _cut(listing: Listing, targets: Targets, keys: Sequence[bytes]) -> dict[str, Indices]:
    """The indices of train, val and test: as the folder has them, and cut where it has not."""
    names = np.asarray([file.part for file in listing.files])
    given = {part: np.flatnonzero(names == part) for part in listing.parts}
    whole = len(given) == 3
    for name, indices in given.items():
        least = {"all": 3, "train": 1 if whole else 2}.get(name, 1)
        _check_counts(listing, name, np.bincount(targets[indices], minlength=len(listing.labels)), least)
    if whole:
        return given
    if "all" in given:
        rest, test = cut(keys, targets, given["all"])
    else:
        rest, test = given["train"], given["val" if "val" in given else "test"]
    train, val = cut(keys, targets, rest)
    return {"train": train, "val": val, "test": test}


def _check_counts(listing: Listing, part: str, counts: Indices, least: int) -> None:
    classes = zip(listing.labels, counts.tolist(), strict=True)
    few = [f"{label} ({count})" for label, count in classes if count < least]
    if few:
        where = shown(listing.folder) if part == "all" else f"the {part} part of {shown(listing.folder)}"
        raise InputError(
            f"too few pictures in {where}: {', '.join(few[:5])}",
            hint=f"each class needs at least {least} there, one for every part that is cut from it",
        )


def bad_files(folder: Path, bad: dict[Path, str]) -> InputError:
    """The error for files of a folder that are no pictures, each with the reason."""
    told = "; ".join(f"{shown(one)}: {why}" for one, why in list(bad.items())[:5])
    more = f"; and {len(bad) - 5} more" if len(bad) > 5 else ""
    return InputError(
        f"{shown(folder)} holds files that are no whole pictures: {told}{more}",
        hint="mend or remove them, or leave them out with --skip-bad",
    )


def _content(folder: Path, store: FileStore) -> str:
    lines = sorted(os.fsencode(one.path.relative_to(folder)) + b"\0" + one.sha256 for one in store.pictures)
    return hashlib.sha256(b"".join(hashlib.sha256(line).digest() for line in lines)).hexdigest()
