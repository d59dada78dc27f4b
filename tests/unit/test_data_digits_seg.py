from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from edgekit.data import Data, batches, load_data
from edgekit.data.digits import cut_digits
from edgekit.data.digits_seg import INK, PICTURES, scene
from edgekit.data.split import Indices, Part, Pixels
from edgekit.errors import InputError
from edgekit.request import Size

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


def test_masks_may_tell_digits_apart(scenes: Data) -> None:
    each = load_data(Path("digits-seg-10"), task="segmentation", input_size=64)
    assert each.labels == ("background", *"0123456789")
    assert (each.name, each.demonstration) == ("digits-seg-10", True)
    assert each.sha256 != scenes.sha256
    for one, ten in ((scenes.train, each.train), (scenes.val, each.val), (scenes.test, each.test)):
        assert one is not None
        assert ten is not None
        assert one.targets is not None
        assert ten.targets is not None
        assert np.array_equal(ten.targets > 0, one.targets)
        assert set(np.unique(ten.targets)) == set(range(11))
        assert np.array_equal(ten.images(np.arange(3)), one.images(np.arange(3)))


def test_the_value_of_a_pixel_is_the_digit_that_lies_there() -> None:
    """Black digits but for the nines, whose ink alone is in the mask, by their value."""
    pair = np.stack([np.zeros((8, 8)), np.full((8, 8), 255)]).astype(np.uint8)
    masks = [
        scene(pair, np.asarray([1, 10], dtype=np.uint8), np.random.default_rng(seed), 64, 64).mask
        for seed in range(8)
    ]
    assert set(np.unique(masks)) == {0, 10}


def test_built_in_data_is_for_its_task(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert load_data(Path("digits"), input_size=8).name == "digits"
    for name, task in (("digits", "segmentation"), ("digits-seg", "classification")):
        with pytest.raises(InputError, match=f"{name} is for "):
            load_data(Path(name), task=task)  # type: ignore[arg-type]
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    with pytest.raises(InputError, match="digits"):  # a folder of that name is meant
        load_data(Path("digits"))


@pytest.mark.parametrize("size", [7, (4, 64)])
def test_a_canvas_that_no_digit_fits_on_is_refused(size: Size) -> None:
    with pytest.raises(InputError, match="no digit fits on") as refused:
        load_data(None, task="segmentation", input_size=size)
    assert refused.value.hint == "--input-size 8 or more"


def test_the_size_is_the_askers(scenes: Data) -> None:
    wide = load_data(None, task="segmentation", input_size=32, channels=1)
    assert wide.calibration.images(np.arange(2)).shape == (2, 1, 32, 32)
    assert wide.sha256 != scenes.sha256


def test_a_splits_pictures_are_made_of_its_digits_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    digits, given = cut_digits(), []

    def recorded(own: Pixels, values: Pixels, rng: np.random.Generator, height: int, width: int) -> object:
        given.append({picture.tobytes() for picture in own})
        return scene(own, values, rng, height, width)

    monkeypatch.setattr("edgekit.data.digits_seg.scene", recorded)
    load_data(None, task="segmentation", input_size=32)
    starts = np.cumsum([0, *PICTURES.values()])
    for start, end, indices in zip(starts, starts[1:], (digits.train, digits.val, digits.test), strict=False):
        assert all(seen == {digits.keys[index] for index in indices} for seen in given[start:end])


def test_masks_cover_the_ink() -> None:
    bright = np.full((1, 8, 8), 255, dtype=np.uint8)
    made = scene(bright, np.ones(1, dtype=np.uint8), np.random.default_rng(0), 64, 64)
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
