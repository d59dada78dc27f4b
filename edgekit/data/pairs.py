"""A folder of pictures and masks as data for segmentation.

`images/` and `masks/` are cut into three parts; `train/` and `val/` that hold a pair of them each are taken as
folders of classes are: `val/` is the held-out test split, unless there is `test/` too. A mask is a PNG whose
values are class indices, 0 the background; where there is one class, 0 and 255 will do. `classes.txt` may name
the classes, the background first.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from edgekit.data.folder import bad_files, flips_for
from edgekit.data.listing import shown
from edgekit.data.masks import Masks, as_classes, check_size, decode_mask, resized
from edgekit.data.pair_listing import NAMES, Pair, Pairs, list_pairs
from edgekit.data.pictures import BadPictureError
from edgekit.data.split import Data, Indices, Part, Pixels, cut, shuffled
from edgekit.data.store import FileStore
from edgekit.errors import InputError
from edgekit.model import Preprocessing
from edgekit.progress import Progress, Silent


@dataclass(frozen=True, eq=False)
class Mask:
    """A mask that was read whole."""

    pixels: Pixels
    """(H, W) at the network's size, the values as they are stored."""
    values: frozenset[int]
    """All that it held at its own size."""
    sha256: bytes
    """Of its values at its own size."""


def load_pairs(
    path: Path, preprocessing: Preprocessing, *, skip_bad: bool = False, progress: Progress | None = None
) -> Data:
    """List, read and cut a folder; every file is decoded once here.

    Masks stay in memory at the network's size, a byte a pixel.

    Raises `InputError` that names the file: a picture without a mask, a mask without a picture, one of another
    size, a value that is no class, too few pictures; and files that are no whole pictures, unless `skip_bad`
    leaves them out with their partners.
    """
    progress = progress or Silent()
    found = list_pairs(path)
    store = FileStore(preprocessing, len(found.pairs))
    bad = dict(store.scan([pair.picture for pair in found.pairs], progress))
    pairs = [pair for pair in found.pairs if pair.picture not in bad]
    masks = {pair: mask for pair in pairs if (mask := _read(pair, bad, preprocessing)) is not None}
    if bad and not skip_bad:
        raise bad_files(path, bad)
    kept = np.asarray([index for index, pair in enumerate(pairs) if pair in masks], dtype=np.intp)
    if bad:
        progress.say(f"left out {len(bad)} files that are no pictures: {shown(next(iter(bad)))} first")
    return _assembled(found, store, kept, masks, tuple(shown(one.relative_to(path)) for one in bad))


def _read(pair: Pair, bad: dict[Path, str], ready: Preprocessing) -> Mask | None:
    """The mask at the network's size, or None, and the reason in `bad`."""
    try:
        data, picture = pair.mask.read_bytes(), pair.picture.read_bytes()
    except OSError as error:
        raise InputError(f"cannot read {shown(pair.mask)}: {error.strerror}") from error
    try:
        mask = decode_mask(data)
    except BadPictureError as error:
        bad[pair.mask] = str(error)
        return None
    check_size(mask, pair.mask, picture, pair.picture)
    held = frozenset(np.unique(mask).tolist())
    return Mask(resized(mask, ready.height, ready.width), held, hashlib.sha256(mask.tobytes()).digest())


def _assembled(
    found: Pairs, store: FileStore, kept: Indices, masks: Mapping[Pair, Mask], skipped: tuple[str, ...]
) -> Data:
    ready = store.preprocessing
    keys = [store.pictures[index].sha256 for index in kept]
    parts = _cut(found, [pair.part for pair in masks], keys)
    classes = _classes(found, masks)

    def part(indices: Indices) -> Part:
        return Part(store, kept[indices], classes.pixels[indices], ready, flips=flips_for(store))

    return Data(
        name=found.folder.resolve().name,
        sha256=_content(found, masks, keys),
        labels=classes.labels,
        train=part(parts["train"]),
        val=part(parts["val"]),
        test=part(parts["test"]),
        calibration=part(shuffled(keys, parts["train"])),
        preprocessing=ready,
        skipped=skipped,
    )


def _classes(found: Pairs, masks: Mapping[Pair, Mask]) -> Masks:
    trained = [mask.values for pair, mask in masks.items() if pair.part in ("train", "all")]
    return as_classes(
        np.stack([mask.pixels for mask in masks.values()]),
        {pair.mask: mask.values for pair, mask in masks.items()},
        frozenset[int]().union(*trained),
        found.names,
    )


def _cut(found: Pairs, of: list[str], keys: list[bytes]) -> dict[str, Indices]:
    """The indices of train, val and test: as the folder has them, and cut where it has not."""
    names = np.asarray(of)
    given = {part: np.flatnonzero(names == part) for part in found.parts}
    whole = len(given) == 3
    for name, indices in given.items():
        least = {"all": 3, "train": 1 if whole else 2}.get(name, 1)
        if len(indices) < least:
            where = shown(found.folder) if name == "all" else f"the {name} part of {shown(found.folder)}"
            hint = f"at least {least}, one for every part that is cut from it"
            raise InputError(f"too few pictures with masks in {where}: {len(indices)}", hint=hint)
    if whole:
        return given
    alike = np.zeros(len(names), dtype=np.int64)  # pictures hold several classes: the cut knows none
    if "all" in given:
        rest, test = cut(keys, alike, given["all"])
    else:
        rest, test = given["train"], given["val" if "val" in given else "test"]
    train, val = cut(keys, alike, rest)
    return {"train": train, "val": val, "test": test}


def _content(found: Pairs, masks: Mapping[Pair, Mask], keys: list[bytes]) -> str:
    lines = sorted(
        os.fsencode(pair.picture.relative_to(found.folder)) + b"\0" + key + mask.sha256
        for (pair, mask), key in zip(masks.items(), keys, strict=True)
    )
    if found.names:  # a network is kept with the names of its classes
        lines.append("\n".join((NAMES, *found.names)).encode())
    return hashlib.sha256(b"".join(hashlib.sha256(line).digest() for line in lines)).hexdigest()
