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
_PACKAGES: Final = ("site-packages", "dist-packages")
"""What folders of installed packages are called: the environment's, the system's, and those of `pip --user`."""
_MACHINERY: Final = frozenset(("torch", "torchao", "functorch", "sympy", "mpmath", "numpy"))
"""Installed packages in which a user's network fails without being at fault."""


def user_line(error: BaseException) -> str:
    """`FILE:LINE, in FUNCTION: CODE` of the innermost frame of the user's; empty where there is none.

    Code of the user's is all that lies neither in edgekit, nor in torch and what it computes with, nor in
    Python's library: a package of networks that is installed counts.
    """
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_shown(error.filename)}:{error.lineno}: {(error.text or '').strip()}".removesuffix(": ")
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not is_library(frame.filename)]
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


def installed_package(filename: str) -> str:
    """The first part of a path below a folder of installed packages: `torch`; empty where it lies in none."""
    *folders, _ = parts = Path(filename).parts
    places = [place for place, part in enumerate(folders, start=1) if part in _PACKAGES]
    if places:
        return parts[places[-1]]
    folder = next((folder for folder in _INSTALLED if _below(filename, (folder,))), "")
    return Path(filename).relative_to(folder).parts[0] if folder else ""


def is_library(filename: str) -> bool:
    """Whether a file is edgekit's, Python's, or of what a user's network computes with."""
    if filename.startswith("<") or _below(filename, _OURS):
        return True
    if package := installed_package(filename):  # before the standard library, which it may lie in
        return package in _MACHINERY
    return _below(filename, _STANDARD)


def _below(filename: str, folders: tuple[str, ...]) -> bool:
    return any(filename.startswith(folder + os.sep) for folder in folders)


def _shown(filename: str) -> str:
    """As a user would write it: relative where it lies below the current folder."""
    path = Path(filename)
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else filename
