"""Where an error came from in the user's own code: the line to look at, neither ours nor a library's."""

from __future__ import annotations

import os
import sysconfig
import traceback
from pathlib import Path
from typing import Final

_OURS: Final = (str(Path(__file__).parent),)
_STANDARD: Final = tuple({sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib")})
_INSTALLED: Final = tuple({sysconfig.get_path("purelib"), sysconfig.get_path("platlib")})
_MACHINERY: Final = frozenset(("torch", "torchao", "functorch", "sympy", "mpmath", "numpy"))
"""Installed packages in which a user's network fails without being at fault."""


def user_line(error: BaseException) -> str:
    """`FILE:LINE, in FUNCTION: CODE` of the innermost frame of the user's; empty where there is none.

    Code of the user's is all that lies neither in edgekit, nor in torch and what it computes with, nor in
    Python's library: a package of networks that is installed counts.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}:{error.lineno}: {(error.text or '').strip()}".removesuffix(": ")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_users(frame.filename)]
    if not frames:
        return ""
    last = frames[-1]
    return f"{_shown(last.filename)}:{last.lineno}, in {last.name}: {last.line}".removesuffix(": ")


def described(error: BaseException) -> str:
    """The error's kind and first line, then the user's line that it came from."""
    first = next((line.strip() for line in str(error).splitlines() if line.strip()), "")
    what = f"{type(error).__name__}: {first}".removesuffix(": ")
    place = user_line(error)
    return f"{what}\n  at {place}" if place else what


def _is_users(filename: str) -> bool:
    if filename.startswith("<") or _below(filename, _OURS):
        return False
    for folder in _INSTALLED:  # before the standard library, which they may lie in
        if _below(filename, (folder,)):
            package = Path(filename).relative_to(folder).parts[0]
            return package not in _MACHINERY
    return not _below(filename, _STANDARD)


def _below(filename: str, folders: tuple[str, ...]) -> bool:
    return any(filename.startswith(folder + os.sep) for folder in folders)


def _shown(filename: str) -> str:
    """As a user would write it: relative where it lies below the current folder."""
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename
