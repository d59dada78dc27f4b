"""What CI systems read: one file a format, each with `text(result)`, the content of a file."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path

from edgekit import files
from edgekit.gate.result import GateResult


def write_all(result: GateResult, wanted: Mapping[str, Path]) -> None:
    """Write each format to its file, whole or not at all; a format is named after its module."""
    for name, path in wanted.items():
        module = importlib.import_module(f"{__name__}.{name}")
        files.write_text(path, module.text(result))
