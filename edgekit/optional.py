"""Packages that only some users need load late, and say how to get them when they are missing."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from types import ModuleType

from edgekit.errors import MissingError


def installed(module: str) -> bool:
    """Whether `module` can be found, without importing it."""
    try:
        return importlib.util.find_spec(module) is not None
    except (ModuleNotFoundError, ValueError):
        return False


def need(modules: Iterable[str], *, extra: str) -> None:
    """Raise `MissingError` with the pip line of the extra where one of the modules is not installed."""
    for module in modules:
        if not installed(module):
            raise MissingError(f"{module} is not installed", hint=f"pip install 'edgekit[{extra}]'")


def load(module: str, *, extra: str) -> ModuleType:
    """Import `module`, or raise `MissingError` with the pip line of the extra that brings it."""
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise MissingError(
            f"{error.name or module} is not installed", hint=f"pip install 'edgekit[{extra}]'"
        ) from error
