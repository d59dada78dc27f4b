"""What CI systems read: one file a format, each with `text(result)`, the content of a file."""

from __future__ import annotations

import importlib
import os
from collections.abc import Mapping
from pathlib import Path

from edgekit import files
from edgekit.errors import InputError
from edgekit.gate.result import GateResult


def write_all(result: GateResult, wanted: Mapping[str, Path]) -> None:
    """Write each format to its file, whole or not at all; a format is named after its module."""
    for name, path in wanted.items():
        module = importlib.import_module(f"{__name__}.{name}")
        files.write_text(path, module.text(result))


def check_writable(wanted: Mapping[str, Path]) -> None:
    """Raise `InputError` for a file that could not be written in the end: before minutes are spent on its content."""
    for name, path in wanted.items():
        if path.is_dir():
            raise InputError(f"the {name} file {path} is a folder")
        folder = next(place for place in path.absolute().parents if place.exists())
        if not folder.is_dir():
            raise InputError(f"the {name} file {path} cannot be written: {folder} is no folder")
        if not os.access(folder, os.W_OK) or (path.exists() and not os.access(path, os.W_OK)):
            raise InputError(f"the {name} file {path} cannot be written: no permission")
    if len({path.absolute() for path in wanted.values()}) < len(wanted):
        raise InputError(f"one file for two outputs: {', '.join(map(str, wanted.values()))}")
