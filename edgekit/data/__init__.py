"""Pictures for training, calibration and the final figures; torch is never imported here."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from edgekit.data.batching import batches
from edgekit.data.split import Data, Split
from edgekit.errors import InputError
from edgekit.model import Preprocessing, Task
from edgekit.progress import Progress
from edgekit.request import Size

__all__ = ["Data", "Split", "batches", "load_data"]

BUILT_IN: Mapping[str, Task] = {
    "digits": "classification",
    "digits-seg": "segmentation",
    "digits-seg-10": "segmentation",
}
"""Data that needs no folder, the default of its task first."""


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
    """The data in a folder, or built-in data: that of the name, the task's where `path` is None.

    Folders: see `folder.py`, for segmentation `pairs.py`. Pictures are scaled to `input_size` (default 224 for
    folders, 64 for the digits, 128 for the digits with masks); a network that brings its own `preprocessing`
    decides instead of size and channels. `skip_bad` leaves out files that are no pictures. Raises `InputError`.
    """
    from edgekit.data import folder

    if path is None or (str(path) in BUILT_IN and not path.exists()):
        default = next(name for name, its in BUILT_IN.items() if its == task)
        return _built_in(str(path or default), task, input_size, channels, preprocessing)
    size = folder.INPUT_SIZE if input_size is None else input_size
    ready = preprocessing or folder.preprocessing_for(size, channels)
    return _from_folder(path, task, ready, skip_bad=skip_bad, progress=progress)


def _built_in(
    name: str, task: Task, input_size: Size | None, channels: int, preprocessing: Preprocessing | None
) -> Data:
    from edgekit.data import digits, digits_seg

    if BUILT_IN[name] != task:
        fitting = [known for known, its in BUILT_IN.items() if its == task]
        raise InputError(
            f"the built-in data {name} is for {BUILT_IN[name]}, and the network for {task}",
            hint=f"--data {' or '.join(fitting)}, or a folder",
        )
    default = digits_seg.INPUT_SIZE if task == "segmentation" else digits.INPUT_SIZE
    ready = preprocessing or digits.preprocessing_for(default if input_size is None else input_size, channels)
    if task == "classification":
        return digits.load(ready)
    return digits_seg.load(ready, each=name == "digits-seg-10")


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
