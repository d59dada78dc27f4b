"""Picture files read once at the start, and kept decoded as far as memory allows."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from edgekit.data.listing import shown
from edgekit.data.pictures import BadPictureError, decode
from edgekit.data.split import Pixels
from edgekit.errors import InputError
from edgekit.model import Preprocessing
from edgekit.progress import Progress

CACHE_BYTES = 2_000_000_000
CHUNK = 128


@dataclass(frozen=True, eq=False)
class Picture:
    """A file that was read whole: the SHA-256 of its bytes, and whether any of its pixels has a colour."""

    path: Path
    sha256: bytes
    colour: bool


class FileStore:
    """Picture files (a `Store`); the first ones are held in memory, `CACHE_BYTES` in all at most."""

    def __init__(self, preprocessing: Preprocessing, expected: int) -> None:
        self.pictures: list[Picture] = []
        self.preprocessing = preprocessing
        shape = (preprocessing.channels, preprocessing.height, preprocessing.width)
        held = min(expected, CACHE_BYTES // int(np.prod(shape)))
        self._cache: Pixels = np.empty((held, *shape), dtype=np.uint8)

    def scan(self, paths: Sequence[Path], progress: Progress) -> list[tuple[Path, str]]:
        """Read and decode every file once; gives those that are no whole pictures, with the reason.

        Raises `InputError` for a file that cannot be read at all.
        """
        bad: list[tuple[Path, str]] = []
        with _decoders() as pool, progress.task("reading pictures", len(paths)) as advance:
            for start in range(0, len(paths), CHUNK):
                chunk = paths[start : start + CHUNK]
                for path, result in zip(chunk, pool.map(self._try, chunk), strict=True):
                    if isinstance(result, str):
                        bad.append((path, result))
                    else:
                        self._add(path, *result)
                advance(len(chunk))
        return bad

    def read(self, indices: npt.NDArray[np.intp]) -> Pixels:
        """Pictures (n, C, H, W), uint8; raises `InputError` for a file that was changed since the scan."""
        held = indices < len(self._cache)
        result: Pixels = np.empty((len(indices), *self._cache.shape[1:]), dtype=np.uint8)
        result[held] = self._cache[indices[held]]
        if not held.all():
            with _decoders() as pool:
                result[~held] = np.stack(list(pool.map(self._again, indices[~held].tolist())))
        return result

    def _add(self, path: Path, digest: bytes, pixels: Pixels) -> None:
        if len(self.pictures) < len(self._cache):
            self._cache[len(self.pictures)] = pixels
        self.pictures.append(Picture(path, digest, bool((pixels != pixels[:1]).any())))

    def _try(self, path: Path) -> tuple[bytes, Pixels] | str:
        try:
            return self._decode(path)
        except BadPictureError as error:
            return str(error)

    def _again(self, index: int) -> Pixels:
        picture = self.pictures[index]
        try:
            digest, pixels = self._decode(picture.path)
        except BadPictureError as error:
            raise InputError(f"{shown(picture.path)} was changed during the run: {error}") from error
        if digest != picture.sha256:
            raise InputError(f"{shown(picture.path)} was changed during the run")
        return pixels

    def _decode(self, path: Path) -> tuple[bytes, Pixels]:
        if not path.is_file():  # a pipe would block, a link may lead nowhere
            raise BadPictureError("not a regular file")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise InputError(f"cannot read {shown(path)}: {error.strerror}") from error
        ready = self.preprocessing
        pixels = decode(data, height=ready.height, width=ready.width, channels=ready.channels)
        return hashlib.sha256(data).digest(), pixels


@contextmanager
def _decoders() -> Iterator[ThreadPoolExecutor]:
    """Threads (Pillow decodes outside the interpreter's lock), without Pillow's remarks on odd metadata."""
    with warnings.catch_warnings(), ThreadPoolExecutor() as pool:
        warnings.filterwarnings("ignore", module=r"PIL\.")
        yield pool
