"""Files appear whole or not at all, and are known by their content."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from edgekit.errors import InputError


def sha256(path: Path) -> str:
    """The SHA-256 of a file's bytes, in hex."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def canonical_json(value: Any) -> str:
    """JSON with one spelling for one value: what content keys are hashed from."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def write_bytes(path: Path, data: bytes) -> None:
    """Write to a temporary name beside `path`, then rename: a reader never sees half a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
        Path(name).chmod(0o644)  # a temporary file is its owner's alone; what ships is everybody's to read
        Path(name).replace(path)
    except BaseException:  # also on Ctrl-C: nothing half-written stays behind
        Path(name).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str) -> None:
    """`write_bytes` for text, in UTF-8."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """`write_text` of readable JSON; non-finite numbers are refused (no parser elsewhere takes them)."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """A folder to fill under a temporary name; it takes the place of `path` when the block ends well.

    Raises `InputError` where it cannot be written.
    """
    path = path.absolute()
    temporary = _beside(path)
    try:
        yield temporary
        temporary.chmod(0o755)
        _swap(temporary, path)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def check_new(path: Path, *, force: bool, mark: str) -> None:
    """Raise `InputError` where `path` exists; with `force` only where it is no folder of ours, which holds `mark`."""
    if not path.exists():
        return
    if not force:
        raise InputError(f"{path} exists already", hint="--force replaces it")
    if not path.is_dir() or (any(path.iterdir()) and not (path / mark).is_file()):
        raise InputError(
            f"{path} holds other files, and nothing that edgekit wrote", hint="give another --out"
        )


def check_new_file(path: Path, *, force: bool) -> None:
    """Raise `InputError` where a file cannot be written to `path`; where one exists, unless `force` replaces it."""
    if path.is_dir():
        raise InputError(f"{path} is a folder", hint="give the name of a file")
    if path.exists() and not force:
        raise InputError(f"{path} exists already", hint="--force replaces it")
    there = next(folder for folder in path.absolute().parents if folder.exists())
    if not there.is_dir() or not os.access(there, os.W_OK):
        raise InputError(f"cannot write {path}: {there} is no folder to write in", hint="give another place")


def _beside(path: Path) -> Path:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return Path(tempfile.mkdtemp(dir=path.parent, prefix=f".{path.name}."))
    except OSError as error:
        raise InputError(f"cannot write {path}: {error.strerror}", hint="give another place") from error


def _swap(new: Path, path: Path) -> None:
    """The old folder leaves under a hidden name first, so that no half of it is ever seen under its own."""
    if not path.exists():
        new.replace(path)
        return
    aside = _beside(path)
    path.replace(aside / path.name)
    new.replace(path)
    shutil.rmtree(aside)


def inside(folder: Path, name: str) -> Path:
    """`folder/name`, refused where `name` climbs out of the folder (a manifest is somebody's input)."""
    path = (folder / name).resolve()
    if not path.is_relative_to(folder.resolve()):
        raise InputError(
            f"{name!r} points outside {folder}", hint="the manifest was edited or is not edgekit's"
        )
    return path
