from __future__ import annotations

import numpy as np
import pytest

from edgekit.data import Data, batches, load_data
from edgekit.data.digits import cut_digits
from edgekit.data.digits_seg import INK, PICTURES, scene
from edgekit.data.split import Indices, Part, Pixels

SHA256 = "0c18ca4072be442c4175df7adc9f1e6b9bf515e5c676e2f9492aded6c86b6d12"


@pytest.fixture(scope="module")
def scenes() -> Data:
    return load_data(None, task="segmentation", input_size=64)


def test_pictures_have_masks_of_their_size(scenes: Data) -> None:
    for name, split in (("train", scenes.train), ("val", scenes.val), ("test", scenes.test)):
        assert split is not None
        assert split.targets is not None
        assert len(split) == PICTURES[name]
        assert split.images(np.arange(3)).shape == (3, 3, 64, 64)
        assert split.targets.shape == (len(split), 64, 64)
        assert set(np.unique(split.targets)) == {0, 1}
        assert (split.targets.reshape(len(split), -1).sum(axis=1) > 0).all(), "a digit in every picture"
    assert (scenes.name, scenes.labels, scenes.demonstration) == ("digits-seg", ("digit",), True)
    assert not scenes.calibration.flips


def test_the_scenes_are_the_same_everywhere(scenes: Data) -> None:
    """Written down once: a change of NumPy, scikit-learn or Pillow must not move them."""
    assert scenes.sha256 == load_data(None, task="segmentation", input_size=64).sha256 == SHA256


def test_the_size_is_the_askers(scenes: Data) -> None:
    wide = load_data(None, task="segmentation", input_size=32, channels=1)
    assert wide.calibration.images(np.arange(2)).shape == (2, 1, 32, 32)
    assert wide.sha256 != scenes.sha256


def test_a_splits_pictures_are_made_of_its_digits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    digits, given = cut_digits(), []

    def recorded(own: Pixels, rng: np.random.Generator, height: int, width: int) -> object:
        given.append({picture.tobytes() for picture in own})
        return scene(own, rng, height, width)

    monkeypatch.setattr("edgekit.data.digits_seg.scene", recorded)
    load_data(None, task="segmentation", input_size=32)
    starts = np.cumsum([0, *PICTURES.values()])
    for start, end, indices in zip(starts, starts[1:], (digits.train, digits.val, digits.test), strict=False):
        assert all(seen == {digits.keys[index] for index in indices} for seen in given[start:end])


def test_masks_cover_the_ink() -> None:
    bright = np.full((1, 8, 8), 255, dtype=np.uint8)
    made = scene(bright, np.random.default_rng(0), 64, 64)
    inside, outside = made.picture[made.mask == 1], made.picture[made.mask == 0]
    assert inside.min() > INK > np.median(outside)


def test_masks_move_with_their_pictures(scenes: Data) -> None:
    """Pictures that show their own masks still do when they are shifted and mirrored."""
    assert scenes.val is not None
    assert scenes.val.targets is not None
    drawn = scenes.val.targets.astype(np.uint8)

    class Masks:
        def read(self, indices: Indices) -> Pixels:
            return np.repeat(255 * drawn[indices][:, None], 3, axis=1)

    split = Part(Masks(), np.arange(len(drawn)), drawn, scenes.preprocessing, flips=True)
    still = {mask.tobytes() for mask in drawn}
    for images, moved in batches(split, 40, rng=np.random.default_rng(0), augment=True):
        assert np.array_equal(images[:, 0] > 0, moved == 1)
        assert sum(mask.astype(np.uint8).tobytes() in still for mask in moved) < len(moved) / 4
