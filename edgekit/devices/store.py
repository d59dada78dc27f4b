"""Files on a device, each under the SHA-256 of what it holds: what is there already is not sent again.

Standard library only, for Python 3.9 and later: `agent.py` uses it on other machines.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

STORE_BYTES = 2 * 1024**3
"""What the store may hold between sessions; those that were not used for longest go first."""
DIGEST = re.compile(r"[0-9a-f]{64}")


class Store:
    """A folder of files named by their SHA-256."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def missing(self, digests: Iterable[str]) -> list[str]:
        """Those that are not here."""
        return [digest for digest in digests if not self._path(digest).is_file()]

    def take_in(self, path: Path) -> None:
        """Move a file in; its name is its digest. Raises `ValueError` where it holds something else."""
        digest = hashlib.sha256()
        with path.open("rb") as stream:
            for block in iter(lambda: stream.read(1024 * 1024), b""):
                digest.update(block)
        if digest.hexdigest() != path.name:
            raise ValueError(f"a file of SHA-256 {path.name} arrived damaged")
        path.chmod(0o444)
        path.replace(self._path(path.name))

    def lend(self, digest: str, path: Path) -> None:
        """The file under another name, without a copy where the file system can (a link follows no path)."""
        held = self._path(digest)
        os.utime(held)
        try:
            os.link(held, path)
        except OSError:
            shutil.copyfile(held, path)

    def evict(self, limit_bytes: int = STORE_BYTES) -> None:
        """Remove what was not used for longest, down to the limit."""
        entries = sorted(self._folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        total = 0
        for path in entries:
            total += path.stat().st_size
            if total > limit_bytes:
                path.unlink()

    def _path(self, digest: str) -> Path:
        if not DIGEST.fullmatch(digest):
            raise ValueError(f"{digest!r} is no SHA-256")
        return self._folder / digest
