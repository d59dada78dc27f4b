"""Pictures for training, calibration and the final figures; torch is never imported here."""

from __future__ import annotations

from pathlib import Path

from edgekit.data.batching import batches
from edgekit.data.split import Data, Split
from edgekit.errors import InputError
from edgekit.model import Preprocessing, Task
from edgekit.progress import Progress
from edgekit.request import Size

__all__ = ["Data", "Split", "batches", "load_data"]


def load_data(
    path: Path | None,
    *,
    task: Task = "classification",
    input_size: Size | None = None,
    channels: int = 3,
    preprocessing: Preprocessing | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Data:
    """The data in a folder, or the task's built-in one where `path` is None.

    Folders: see `folder.py`, for segmentation `pairs.py`. Pictures are scaled to `input_size` (default 224 for
    folders, 64 for the digits, 128 for the digits with masks); a network that brings its own `preprocessing`
    decides instead of size and channels. `skip_bad` leaves out files that are no pictures. Raises `InputError`.
    """
    from edgekit.data import digits, digits_seg, folder

    segments = task == "segmentation"
    if path is not None:
        size = folder.INPUT_SIZE if input_size is None else input_size
        ready = preprocessing or folder.preprocessing_for(size, channels)
        return _from_folder(path, task, ready, skip_bad=skip_bad, progress=progress)
    default = digits_seg.INPUT_SIZE if segments else digits.INPUT_SIZE
    ready = preprocessing or digits.preprocessing_for(default if input_size is None else input_size, channels)
    return digits_seg.load(ready) if segments else digits.load(ready)


def _from_folder(
    path: Path, task: Task, preprocessing: Preprocessing, *, skip_bad: bool, progress: Progress | None
) -> Data:
    """Pictures with masks for segmentation, with classes for classification, alone for either."""
    from edgekit.data import folder, listing, pair_listing, pairs

    if task == "segmentation" and listing.entries(path)[0]:
        return pairs.load_pairs(path, preprocessing, skip_bad=skip_bad, progress=progress)
    if task == "classification" and pair_listing.holds_pairs(path):
        raise InputError(
            f"{listing.shown(path)} holds pictures and masks, and the network tells classes of pictures apart",
            hint="choose a network for segmentation, or give one folder of pictures a class",
        )
    return folder.load_folder(path, preprocessing, skip_bad=skip_bad, progress=progress)
