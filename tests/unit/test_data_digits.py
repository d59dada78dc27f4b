from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from edgekit.data import Data, load_data
from edgekit.data.folder import preprocessing_for
from edgekit.data.random import random_data
from edgekit.data.split import Part, Split
from edgekit.errors import InputError
from edgekit.model import Preprocessing


@pytest.fixture(scope="module")
def digits() -> Data:
    return load_data(None)


def indices(split: Split | None) -> set[int]:
    assert isinstance(split, Part)
    return set(split.indices.tolist())


def test_the_digits_are_whole_and_their_parts_never_mix(digits: Data) -> None:
    train, val, test = indices(digits.train), indices(digits.val), indices(digits.test)
    assert sorted(train | val | test) == list(range(1797))
    assert len(train) + len(val) + len(test) == 1797
    assert indices(digits.calibration) == train
    assert (len(train), len(val), len(test)) == (1151, 287, 359)


def test_every_class_is_cut_alike(digits: Data) -> None:
    for split, share in ((digits.test, 0.2), (digits.val, 0.16), (digits.train, 0.64)):
        assert split is not None
        assert split.targets is not None
        counts = np.bincount(split.targets, minlength=10) / np.bincount(
            np.concatenate(
                [
                    part.targets
                    for part in (digits.train, digits.val, digits.test)
                    if part and part.targets is not None
                ]
            )
        )
        assert np.abs(counts - share).max() < 0.01


def test_the_cut_is_the_same_everywhere(digits: Data) -> None:
    """These figures were written down once: a change of NumPy, scikit-learn or Pillow must not move them."""
    assert digits.sha256 == "0b7e9c3202d7bcd255d6a19a238d3743bf5e320ba74812a6679958a017c55382"
    assert isinstance(digits.test, Part)
    assert digits.test.indices[:8].tolist() == [3, 6, 9, 28, 33, 40, 42, 43]
    assert isinstance(digits.calibration, Part)
    assert digits.calibration.indices[:8].tolist() == [1765, 1425, 874, 729, 1117, 485, 1563, 226]


def test_digits_are_scaled_as_their_preprocessing_says(digits: Data) -> None:
    assert digits.train is not None
    images = digits.train.images(np.arange(50))
    assert images.shape == (50, 3, 64, 64)
    assert images.dtype == np.float32
    assert (images.min(), images.max()) == (-1, 1)
    assert (images == images[:, :1]).all(), "three equal channels"
    assert digits.preprocessing == Preprocessing(height=64, width=64, mean=(0.5,) * 3, std=(0.5,) * 3)


def test_digits_say_what_they_are(digits: Data) -> None:
    assert digits.labels == tuple("0123456789")
    assert digits.demonstration
    assert digits.labelled
    assert not digits.calibration.flips
    assert digits.name == "digits"


def test_size_and_channels_are_heeded_and_content_stays(digits: Data) -> None:
    small = load_data(None, input_size=32, channels=1)
    assert small.train is not None
    assert small.train.images(np.arange(2)).shape == (2, 1, 32, 32)
    assert small.sha256 == digits.sha256
    assert indices(small.test) == indices(digits.test)
    wide = load_data(None, preprocessing=Preprocessing(height=16, width=24, mean=(0.0,), std=(1.0,)))
    assert wide.calibration.images(np.arange(2)).shape == (2, 1, 16, 24)


@pytest.mark.parametrize(("size", "channels"), [(0, 3), (-64, 3), (100_000, 3), (64, 2), (64, 0)])
def test_impossible_pictures_are_refused(size: int, channels: int) -> None:
    with pytest.raises(InputError, match=r"pictures cannot (be|have)"):
        load_data(None, input_size=size, channels=channels)
    with pytest.raises(InputError):
        preprocessing_for(size, channels)


def test_random_pictures_repeat_with_their_seed_only() -> None:
    one, again, other = (random_data(preprocessing_for(32, 3), seed=seed) for seed in (0, 0, 1))
    assert not one.labelled
    assert (one.train, one.val, one.test) == (None, None, None)
    assert one.sha256 == again.sha256 != other.sha256
    chosen = np.asarray([5, 2])
    assert np.array_equal(one.calibration.images(chosen), again.calibration.images(np.arange(6))[chosen])
    assert not np.array_equal(one.calibration.images(chosen), other.calibration.images(chosen))
    assert one.calibration.images(chosen).shape == (2, 3, 32, 32)


def test_data_never_imports_torch() -> None:
    code = (
        "import sys; from edgekit.data import folder, load_data, random; load_data(None, input_size=8); "
        "random.random_data(folder.preprocessing_for(8, 3), seed=0); sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
