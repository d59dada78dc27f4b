"""What a folder for segmentation holds: which mask belongs to which picture, in which part."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from edgekit.data.listing import VAL_NAMES, entries, shown, walk
from edgekit.errors import InputError

IMAGES, MASKS = "images", "masks"
NAMES = "classes.txt"
HINT = f"{IMAGES}/NAME.jpg and {MASKS}/NAME.png belong together, by the name before the ending"


@dataclass(frozen=True)
class Pair:
    """A picture and its mask, of the part `train`, `val` or `test`, or `all` of an uncut folder."""

    picture: Path
    mask: Path
    part: str


@dataclass(frozen=True)
class Pairs:
    """A folder, unread."""

    folder: Path
    parts: tuple[str, ...]
    pairs: list[Pair]
    names: tuple[str, ...]
    """The classes in `classes.txt`, the background first; empty where there is no such file."""


def holds_pairs(folder: Path) -> bool:
    """Whether a folder, or its `train/`, has both `images/` and `masks/`."""
    return any((root / IMAGES).is_dir() and (root / MASKS).is_dir() for root in (folder, folder / "train"))


def list_pairs(folder: Path) -> Pairs:
    """List `folder`, `images/` and `masks/` or a pair of them in `train/`, `val/` (and `test/`); opens no picture.

    Raises `InputError` that names the file that has no partner.
    """
    roots = _roots(folder)
    pairs = [pair for part, root in roots.items() for pair in _in_part(root, part)]
    return Pairs(folder, tuple(roots), pairs, _names(folder / NAMES))


def _roots(folder: Path) -> dict[str, Path]:
    by_name = {one.name: one for one in entries(folder)[0]}
    if "train" not in by_name:
        return {"all": folder}
    val = [by_name[name] for name in VAL_NAMES if name in by_name]
    if len(val) > 1:
        raise InputError(
            f"{shown(folder)} holds {' and '.join(one.name for one in val)}", hint="keep one of them"
        )
    held_out = dict(zip(("val",), val, strict=False))
    if "test" in by_name:
        held_out["test"] = by_name["test"]
    if not held_out:
        hint = f"give {shown(by_name['train'])} itself: it is cut into parts then"
        raise InputError(f"{shown(folder)} holds train/ but neither val/ nor test/", hint=hint)
    return {"train": by_name["train"], **held_out}


def _in_part(root: Path, part: str) -> list[Pair]:
    for name in (IMAGES, MASKS):
        if not (root / name).is_dir():
            raise InputError(f"{shown(root)} has no folder {name}/", hint=HINT)
    pictures, masks = (_by_name(root / name) for name in (IMAGES, MASKS))
    for name, picture in pictures.items():
        if name not in masks:
            raise InputError(f"{shown(picture)} has no mask in {shown(root / MASKS)}", hint=HINT)
    for name, mask in masks.items():
        if name not in pictures:
            raise InputError(f"{shown(mask)} has no picture in {shown(root / IMAGES)}", hint=HINT)
        if mask.suffix.lower() != ".png":
            hint = "save it as PNG: its values are class indices, and other formats may change them"
            raise InputError(f"the mask {shown(mask)} is no .png file", hint=hint)
    if not pictures:
        raise InputError(f"{shown(root / IMAGES)} holds no pictures", hint=HINT)
    return [Pair(picture, masks[name], part) for name, picture in pictures.items()]


def _by_name(folder: Path) -> dict[str, Path]:
    """Files by their path below the folder, without the ending."""
    found: dict[str, Path] = {}
    for path in _sorted(walk(folder)):
        name = str(path.relative_to(folder).with_suffix(""))
        if name in found:
            raise InputError(f"{shown(found[name])} and {shown(path)} have one name", hint=HINT)
        found[name] = path
    return found


def _sorted(paths: Iterable[Path]) -> list[Path]:
    return sorted(paths, key=lambda path: path.parts)


def _names(path: Path) -> tuple[str, ...]:
    if not path.exists():
        return ()
    try:
        names = tuple(line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip())
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"cannot read {shown(path)}: {error}") from error
    if len(names) < 2 or len(set(names)) < len(names):
        raise InputError(
            f"{shown(path)} should name at least two classes, each once",
            hint="one a line in the order of their indices, the background first",
        )
    return names
