"""Pictures with masks from a folder: classes, cuts, sizes, and each thing that is refused by its name."""

from __future__ import annotations

import re
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.data import Data, load_data
from edgekit.data.split import Part
from edgekit.errors import InputError
from edgekit.model import Preprocessing

PLAIN = Preprocessing(height=8, width=8, mean=(0.0,) * 3, std=(1.0,) * 3)


def paint(path: Path, value: int, size: tuple[int, int] = (8, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient("L").resize(size).point(lambda grey: (grey + value) % 256).save(path)


def draw(path: Path, values: tuple[int, ...], size: tuple[int, int] = (8, 8), mode: str = "L") -> None:
    """A mask of columns that hold these values in turn."""
    path.parent.mkdir(parents=True, exist_ok=True)
    row = np.resize(np.asarray(values, dtype=np.uint8), size[0])
    mask = Image.fromarray(np.tile(row, (size[1], 1)))
    if mode == "P":
        mask.putpalette([0, 0, 0, 200, 30, 30, 30, 200, 30])
    (mask if mode in ("L", "P") else mask.convert(mode)).save(path)


def fill(folder: Path, count: int, values: tuple[int, ...] = (0, 255), first: int = 0) -> Path:
    for index in range(first, first + count):
        paint(folder / "images" / f"{index:03}.jpg", 9 * index)
        draw(folder / "masks" / f"{index:03}.png", values)
    return folder


def load(folder: Path, *, skip_bad: bool = False) -> Data:
    return load_data(folder, task="segmentation", preprocessing=PLAIN, skip_bad=skip_bad)


def sizes(data: Data) -> tuple[int, ...]:
    return tuple(len(split) for split in (data.train, data.val, data.test) if split is not None)


def masks_of(data: Data) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    assert data.train is not None
    assert data.train.targets is not None
    return data.train.targets.astype(np.uint8)


def refused(folder: Path) -> InputError:
    with pytest.raises(InputError) as caught:
        load(folder)
    assert caught.value.exit_code == 2
    return caught.value


def test_one_folder_is_cut_into_three_parts(tmp_path: Path) -> None:
    data = load(fill(tmp_path, 20))
    assert sizes(data) == (13, 3, 4)
    assert (data.labels, data.demonstration, len(data.calibration)) == (("foreground",), False, 13)
    assert set(np.unique(masks_of(data))) == {0, 1}


def test_the_parts_of_a_folder_stay(tmp_path: Path) -> None:
    for part, count, first in (("train", 10, 0), ("val", 3, 20), ("test", 4, 30)):
        fill(tmp_path / part, count, first=first)
    assert sizes(load(tmp_path)) == (10, 3, 4)


def test_val_is_held_out_where_there_is_no_test(tmp_path: Path) -> None:
    fill(tmp_path / "train", 10)
    fill(tmp_path / "valid", 3, first=20)
    data = load(tmp_path)
    assert sizes(data) == (8, 2, 3)
    assert isinstance(data.test, Part)
    assert data.test.indices.tolist() == [10, 11, 12]


@pytest.mark.parametrize("values", [(0, 1), (0, 255)])
def test_one_class_is_1_or_white(tmp_path: Path, values: tuple[int, int]) -> None:
    data = load(fill(tmp_path, 5, values))
    assert masks_of(data)[0, 0].tolist() == [0, 1] * 4


def test_several_classes_are_counted(tmp_path: Path) -> None:
    data = load(fill(tmp_path, 5, (0, 1, 2, 3)))
    assert data.labels == ("background", "class 1", "class 2", "class 3")
    assert masks_of(data)[0, 0].tolist() == [0, 1, 2, 3, 0, 1, 2, 3]


def test_classes_may_have_names_and_some_of_them_no_pixel(tmp_path: Path) -> None:
    (fill(tmp_path, 5, (0, 1)) / "classes.txt").write_text("ground\nroad\ncar\n")
    assert load(tmp_path).labels == ("ground", "road", "car")
    (tmp_path / "classes.txt").write_text("ground\nroad\n")
    assert load(tmp_path).labels == ("road",)


@pytest.mark.parametrize("mode", ["P", "1"])
def test_palettes_hold_indices_and_single_bits_one_class(tmp_path: Path, mode: str) -> None:
    fill(tmp_path, 5)
    for path in (tmp_path / "masks").iterdir():
        draw(path, (0, 1) if mode == "P" else (0, 255), mode=mode)
    assert masks_of(load(tmp_path))[0, 0].tolist() == [0, 1] * 4


def test_masks_are_scaled_without_new_values(tmp_path: Path) -> None:
    for index in range(4):
        paint(tmp_path / "images" / f"{index}.png", 9 * index, (40, 24))
        draw(tmp_path / "masks" / f"{index}.png", (0,) * 20 + (2,) * 10 + (1,) * 10, (40, 24))
    assert masks_of(load(tmp_path))[0].tolist() == [[0, 0, 0, 0, 2, 2, 1, 1]] * 8


def test_a_mask_belongs_to_the_picture_as_it_is_shown(tmp_path: Path) -> None:
    """A camera's picture that lies on its side has its mask upright."""
    fill(tmp_path, 5)
    lying = Image.linear_gradient("L").resize((16, 8))
    exif = lying.getexif()
    exif[0x0112] = 6
    lying.save(tmp_path / "images" / "000.jpg", exif=exif)
    draw(tmp_path / "masks" / "000.png", (0, 255), (8, 16))
    assert sizes(load(tmp_path)) == (3, 1, 1)


def test_the_name_of_the_content_follows_pictures_and_masks(tmp_path: Path) -> None:
    before = load(fill(tmp_path, 5)).sha256
    assert load(tmp_path).sha256 == before
    draw(tmp_path / "masks" / "003.png", (255, 0))
    assert load(tmp_path).sha256 != before


def test_the_name_of_the_content_follows_the_names_of_classes(tmp_path: Path) -> None:
    plain = load(fill(tmp_path, 5, (0, 1, 2))).sha256
    (tmp_path / "classes.txt").write_text("ground\nroad\ncar\n")
    named = load(tmp_path).sha256
    (tmp_path / "classes.txt").write_text("ground\nroad\nlorry\n")
    assert len({plain, named, load(tmp_path).sha256}) == 3


def test_masks_are_held_at_the_networks_size_only(tmp_path: Path) -> None:
    for index in range(24):
        paint(tmp_path / "images" / f"{index}.png", 9 * index, (512, 512))
        draw(tmp_path / "masks" / f"{index}.png", (0, 255), (512, 512))
    tracemalloc.start()
    try:
        load(tmp_path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 8 * 512 * 512, "the masks of a few pictures at once, not of all"


def test_a_picture_without_a_mask_is_named(tmp_path: Path) -> None:
    (fill(tmp_path, 5) / "masks" / "003.png").unlink()
    error = refused(tmp_path)
    assert "images/003.jpg has no mask" in str(error)
    assert "masks/NAME.png" in error.hint


def test_a_mask_without_a_picture_is_named(tmp_path: Path) -> None:
    (fill(tmp_path, 5) / "images" / "003.jpg").unlink()
    assert "masks/003.png has no picture" in str(refused(tmp_path))


def test_a_mask_of_another_size_is_named(tmp_path: Path) -> None:
    draw(fill(tmp_path, 5) / "masks" / "002.png", (0, 255), (8, 9))
    told = r"the mask .*masks/002\.png is 8×9, its picture .*images/002\.jpg 8×8"
    assert re.search(told, str(refused(tmp_path)))


@pytest.mark.parametrize(
    ("values", "odd", "told"),
    [
        ((0, 1), (0, 255), "002.png holds 255, which is no class"),
        ((0, 255), (0, 1), "holds 255, which is no class"),
        ((0, 1, 2), (0, 9), "002.png holds 9, and none holds 3"),
        ((0, 128), (0, 128), "holds 128, and none holds 1"),
    ],
)
def test_a_value_that_is_no_class_is_named(
    tmp_path: Path, values: tuple[int, ...], odd: tuple[int, ...], told: str
) -> None:
    draw(fill(tmp_path, 5, values) / "masks" / "002.png", odd)
    assert told in str(refused(tmp_path))


def test_classes_that_are_not_trained_on_are_refused(tmp_path: Path) -> None:
    fill(tmp_path / "train", 5, (0, 1, 2))
    fill(tmp_path / "val", 2, (0, 3), first=10)
    assert "val/masks/010.png holds 3, which is no class" in str(refused(tmp_path))


def test_values_beyond_the_named_classes_are_refused(tmp_path: Path) -> None:
    (fill(tmp_path, 5, (0, 1, 2)) / "classes.txt").write_text("ground\nroad\n")
    error = refused(tmp_path)
    assert "000.png holds 2, which is no class" in str(error)
    assert error.hint == "classes.txt names 2: 0 to 1"


@pytest.mark.parametrize(("values", "held"), [((0, 0), 0), ((255, 255), 255), ((1, 1), 1)])
def test_masks_that_say_nothing_are_refused(tmp_path: Path, values: tuple[int, int], held: int) -> None:
    assert f"hold {held} only" in str(refused(fill(tmp_path, 5, values)))


def test_masks_must_be_indices(tmp_path: Path) -> None:
    draw(fill(tmp_path, 5) / "masks" / "001.png", (0, 255), mode="RGB")
    assert "001.png: it holds RGB pixels" in str(refused(tmp_path))


def test_masks_must_be_png(tmp_path: Path) -> None:
    (fill(tmp_path, 5) / "masks" / "001.png").rename(tmp_path / "masks" / "001.jpg")
    error = refused(tmp_path)
    assert "001.jpg is no .png file" in str(error)
    assert "PNG" in error.hint


def test_broken_files_are_left_out_with_their_partners_if_allowed(tmp_path: Path) -> None:
    fill(tmp_path, 8)
    (tmp_path / "images" / "001.jpg").write_bytes(b"no picture")
    (tmp_path / "masks" / "002.png").write_bytes(b"no mask")
    assert "no whole pictures" in str(refused(tmp_path))
    data = load(tmp_path, skip_bad=True)
    assert sum(sizes(data)) == 6
    assert data.skipped == ("images/001.jpg", "masks/002.png")


def test_pictures_keep_their_masks_when_others_are_left_out(tmp_path: Path) -> None:
    fill(tmp_path, 12)
    for index in range(12):
        value = 20 * index
        Image.new("RGB", (8, 8), (value,) * 3).save(tmp_path / "images" / f"{index:03}.jpg")
        draw(tmp_path / "masks" / f"{index:03}.png", (0,) * (index % 7) + (1,) * (8 - index % 7))
    (tmp_path / "images" / "004.jpg").write_bytes(b"no picture")
    data = load(tmp_path, skip_bad=True)
    for split in (data.train, data.val, data.test):
        assert split is not None
        assert split.targets is not None
        for image, mask in zip(split.images(np.arange(len(split))), split.targets, strict=True):
            index = round(float(image.mean()) * 255 / 20)
            assert int(mask[0].sum()) == 8 - index % 7


@pytest.mark.parametrize(
    ("count", "told"), [(2, "too few pictures with masks"), (0, "has no folder images/")]
)
def test_too_few_are_refused(tmp_path: Path, count: int, told: str) -> None:
    fill(tmp_path, count)
    (tmp_path / "masks").mkdir(exist_ok=True)
    assert told in str(refused(tmp_path))


def test_a_part_without_masks_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "train", 5)
    paint(tmp_path / "val" / "images" / "9.jpg", 3)
    assert "val has no folder masks/" in str(refused(tmp_path))


def test_class_folders_are_for_another_task(tmp_path: Path) -> None:
    paint(tmp_path / "cat" / "1.jpg", 3)
    error = refused(tmp_path)
    assert "has no folder images/" in str(error)
    assert "images/NAME.jpg" in error.hint
    with pytest.raises(InputError, match="holds pictures and masks"):
        load_data(fill(tmp_path / "pairs", 5), preprocessing=PLAIN)


def test_loose_pictures_calibrate(tmp_path: Path) -> None:
    for index in range(3):
        paint(tmp_path / f"{index}.jpg", index)
    data = load(tmp_path)
    assert (data.labelled, len(data.calibration)) == (False, 3)


@pytest.mark.parametrize("text", ["", "one\n", "ground\nground\n"])
def test_names_of_classes_are_at_least_two_and_differ(tmp_path: Path, text: str) -> None:
    (fill(tmp_path, 5) / "classes.txt").write_text(text)
    assert "classes.txt should name at least two" in str(refused(tmp_path))
