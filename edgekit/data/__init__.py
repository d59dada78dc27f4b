"""Pictures for training, calibration and the final figures; torch is never imported here."""

from __future__ import annotations

from pathlib import Path

from edgekit.data.batching import batches
from edgekit.data.split import Data, Split
from edgekit.model import Preprocessing
from edgekit.progress import Progress

__all__ = ["Data", "Split", "batches", "load_data"]


def load_data(
    path: Path | None,
    *,
    input_size: int | None = None,
    channels: int = 3,
    preprocessing: Preprocessing | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Data:
    """The data in a folder (see `folder.py` for its forms), or the built-in digits where `path` is None.

    Pictures become squares of `input_size` (default 224 for folders, 64 for the digits); a network that
    brings its own `preprocessing` decides instead of size and channels. `skip_bad` leaves out files that
    are no pictures. Raises `InputError`.
    """
    from edgekit.data import digits, folder

    if preprocessing is None:
        kind = digits if path is None else folder
        preprocessing = kind.preprocessing_for(
            kind.INPUT_SIZE if input_size is None else input_size, channels
        )
    if path is None:
        return digits.load_digits(preprocessing)
    return folder.load_folder(path, preprocessing, skip_bad=skip_bad, progress=progress)
