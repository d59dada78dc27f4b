"""What a data folder holds: which files belong to which part and class."""

from __future__ import annotations

import os
import unicodedata
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from edgekit.errors import InputError

VAL_NAMES = ("val", "valid", "validation")
DEBRIS = frozenset({"Thumbs.db", "desktop.ini", "__MACOSX"})
"""What operating systems leave behind; hidden names (`.DS_Store`, `._photo.jpg`) are ignored as well."""
PICTURE_SUFFIXES = frozenset(
    {".png", ".jpg", ".jpeg", ".bmp", ".gif", ".ppm", ".pgm", ".tif", ".tiff", ".webp"}
)


@dataclass(frozen=True)
class File:
    """A file that should be a picture, of the part `train`, `val` or `test`, or `all` of an uncut folder."""

    path: Path
    part: str
    target: int


@dataclass(frozen=True)
class Listing:
    """A data folder, unread. Without `labels` its pictures are loose, and their targets mean nothing."""

    folder: Path
    labels: tuple[str, ...]
    """Class names in the order of their indices: by code point, as torchvision's ImageFolder has them."""
    parts: tuple[str, ...]
    """Those of `train`, `val`, `test` that the folder has, or `all`."""
    files: list[File]
    strays: list[Path]
    """Picture files beside class folders: nobody knows their class."""


def list_folder(folder: Path) -> Listing:
    """List `folder` in whichever of its forms it comes; opens no file. Raises `InputError`."""
    folders, files = entries(folder)
    roots = _parts(folder, {one.name: one for one in folders})
    if roots:
        return _labelled(folder, roots)
    if folders:
        return _labelled(folder, {"all": folder})
    if not files:
        raise InputError(
            f"the data folder {shown(folder)} is empty", hint="it should hold pictures, by class"
        )
    return Listing(folder, (), ("all",), [File(file, "all", 0) for file in files], [])


def shown(path: Path) -> str:
    """The path as text that can be printed: bytes that are not UTF-8 are escaped."""
    return str(path).encode("utf-8", "backslashreplace").decode()


def _parts(folder: Path, by_name: dict[str, Path]) -> dict[str, Path]:
    """The folders of train, val and test; none where `train` is missing, or is but a class of that name."""
    if "train" not in by_name:
        return {}
    train, val = by_name["train"], [by_name[name] for name in VAL_NAMES if name in by_name]
    if len(val) > 1:
        names = " and ".join(one.name for one in val)
        raise InputError(f"{shown(folder)} holds {names}", hint="keep one of them")
    held_out = dict(zip(("val",), val, strict=False))
    if "test" in by_name:
        held_out["test"] = by_name["test"]
    if held_out:
        return {"train": train, **held_out}
    if entries(train)[0]:
        hint = f"give {shown(train)} itself: it is cut into parts then"
        raise InputError(f"{shown(folder)} holds train/ but neither val/ nor test/", hint=hint)
    return {}


def _labelled(folder: Path, roots: dict[str, Path]) -> Listing:
    classes = {part: _classes(root) for part, root in roots.items()}
    labels = tuple(next(iter(classes.values())))
    if len(labels) < 2:
        raise InputError(
            f"{shown(folder)} has one class only, {labels[0]!r}",
            hint="give at least two class folders, or, for calibration alone, a folder of loose pictures",
        )
    for part, root in roots.items():
        _check_same(root, labels, tuple(classes[part]))
    files = [
        File(path, part, target)
        for part in roots
        for target, label in enumerate(labels)
        for path in walk(classes[part][label])
    ]
    beside = [file for root in {folder, *roots.values()} for file in entries(root)[1]]
    strays = sorted(one for one in beside if one.suffix.lower() in PICTURE_SUFFIXES)
    return Listing(folder, labels, tuple(roots), files, strays)


def _classes(root: Path) -> dict[str, Path]:
    """Class folders by name, in Unicode's composed form: file systems spell the same name in two ways."""
    folders = entries(root)[0]
    if not folders:
        raise InputError(
            f"{shown(root)} holds no class folders", hint=f"pictures belong in {root.name}/CLASS/"
        )
    named = sorted((unicodedata.normalize("NFC", one.name), one) for one in folders)
    for (name, one), (following, other) in pairwise([*named, ("", root)]):
        if name == following:
            raise InputError(
                f"{shown(one)} and {shown(other)} are one name, spelt in two ways", hint="join them"
            )
        if shown(one) != str(one):
            raise InputError(f"the name of the class folder {shown(one)} is not UTF-8", hint="rename it")
    return dict(named)


def _check_same(root: Path, labels: tuple[str, ...], found: tuple[str, ...]) -> None:
    missing, extra = sorted(set(labels) - set(found)), sorted(set(found) - set(labels))
    if missing or extra:
        told = {"it lacks": missing, "it adds": extra}
        raise InputError(
            f"{shown(root)} has other classes than train/",
            hint="; ".join(f"{what} {', '.join(names[:5])}" for what, names in told.items() if names),
        )


def entries(folder: Path) -> tuple[list[Path], list[Path]]:
    """Folders and other entries by name, links as what they point to; hidden names and debris left out."""
    try:
        found = sorted(one for one in folder.iterdir() if one.name[0] != "." and one.name not in DEBRIS)
        folders = [one for one in found if one.is_dir()]
    except OSError as error:
        raise InputError(f"cannot read the data folder {shown(folder)}: {error.strerror}") from error
    others = set(found) - set(folders)
    return folders, [one for one in found if one in others]


def walk(folder: Path) -> list[Path]:
    """All files below, each real folder once; a link that leads back up is not followed."""
    files: list[Path] = []
    real = os.path.realpath(folder)
    waiting, seen = [folder], {real, *map(str, Path(real).parents)}
    while waiting:
        folders, found = entries(waiting.pop())
        files += found
        for one in folders:
            real = os.path.realpath(one)
            if real not in seen:
                seen.add(real)
                waiting.append(one)
    return sorted(files)
