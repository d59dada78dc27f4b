from __future__ import annotations

import unicodedata
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from edgekit.data import Data, load_data, store
from edgekit.data.folder import load_folder
from edgekit.data.split import Part, Split
from edgekit.errors import InputError
from edgekit.model import Preprocessing
from edgekit.progress import Advance

PLAIN = Preprocessing(height=8, width=8, mean=(0.0,) * 3, std=(1.0,) * 3)


class Heard:
    """A `Progress` that remembers."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.done: list[tuple[int, int]] = []

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:
        steps_done = 0

        def advance(steps: int = 1, *, note: str = "") -> None:
            nonlocal steps_done
            steps_done += steps

        yield advance
        self.done.append((steps_done, total))

    def say(self, line: str) -> None:
        self.lines.append(line)


def paint(path: Path, seed: int, grey: bool = False) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (8, 8) if grey else (8, 8, 3)
    Image.fromarray(np.random.default_rng(seed).integers(0, 256, shape, dtype=np.uint8)).save(path)


def fill(folder: Path, classes: dict[str, int], grey: bool = False) -> Path:
    for label, count in classes.items():
        for index in range(count):
            paint(
                folder / label / f"{index:03}.png",
                zlib.crc32(f"{folder.name} {label} {index}".encode()),
                grey,
            )
    return folder


def load(folder: Path) -> Data:
    return load_folder(folder, PLAIN)


def part(split: Split | None) -> Part:
    assert isinstance(split, Part)
    return split


def paths(split: Split | None) -> set[str]:
    found = part(split)
    assert isinstance(found.store, store.FileStore)
    return {"/".join(found.store.pictures[index].path.parts[-3:]) for index in found.indices}


def test_a_folder_of_classes_is_cut_in_three(tmp_path: Path) -> None:
    data = load(fill(tmp_path, {"dog": 20, "cat": 10}))
    parts = [paths(data.train), paths(data.val), paths(data.test)]
    assert [len(one) for one in parts] == [19, 5, 6]
    assert len(set.union(*parts)) == 30
    assert data.labels == ("cat", "dog")
    for split in (data.train, data.val, data.test):
        assert set(part(split).targets.tolist()) == {0, 1}  # type: ignore[union-attr]
        assert all(
            (name.split("/")[1] == "dog") == bool(target) for name, target in names_and_targets(part(split))
        )


def names_and_targets(split: Part) -> list[tuple[str, int]]:
    assert isinstance(split.store, store.FileStore)
    assert split.targets is not None
    names = ["/".join(split.store.pictures[index].path.parts[-3:]) for index in split.indices]
    return list(zip(names, split.targets.tolist(), strict=True))


@pytest.mark.parametrize("val", ["val", "valid", "validation"])
def test_the_folders_val_is_the_test_split(tmp_path: Path, val: str) -> None:
    fill(tmp_path / "train", {"a": 10, "b": 10})
    fill(tmp_path / val, {"a": 3, "b": 3})
    data = load(tmp_path)
    assert {name.split("/")[0] for name in paths(data.test)} == {val}
    assert len(paths(data.test)) == 6
    assert len(paths(data.train)) == 16
    assert len(paths(data.val)) == 4
    assert paths(data.calibration) == paths(data.train)


def test_three_given_parts_serve_as_they_are_named(tmp_path: Path) -> None:
    for name, count in (("train", 5), ("val", 2), ("test", 1)):
        fill(tmp_path / name, {"a": count, "b": count})
    data = load(tmp_path)
    for split, name in ((data.train, "train"), (data.val, "val"), (data.test, "test")):
        assert {found.split("/")[0] for found in paths(split)} == {name}


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    assert load(fill(tmp_path, {"train": 5, "plane": 5})).labels == ("plane", "train")


def test_loose_pictures_serve_for_calibration_alone(tmp_path: Path) -> None:
    fill(tmp_path, {".": 5})
    data = load(tmp_path)
    assert not data.labelled
    assert (data.train, data.val, data.test, data.labels) == (None, None, None, ())
    assert part(data.calibration).targets is None
    assert data.calibration.images(np.arange(5)).shape == (5, 3, 8, 8)


def test_pictures_are_preprocessed(tmp_path: Path) -> None:
    for index, value in enumerate((0, 255, 51)):
        for label in "ab":
            (tmp_path / label).mkdir(exist_ok=True)
            Image.new("RGB", (5, 9), (value, 0, 0)).save(tmp_path / label / f"{index}.png")
    data = load(tmp_path)
    reds = [
        float(image[0, 3, 3])
        for split in (data.train, data.val, data.test)
        for image in part(split).images(np.arange(2))
    ]
    assert sorted(reds) == pytest.approx([0, 0, 0.2, 0.2, 1, 1])
    standard = load_data(tmp_path)
    image = part(standard.calibration).images(np.arange(1))
    assert image.shape == (1, 3, 224, 224)
    assert image[0, 2, 0, 0] == pytest.approx((0 - 0.406) / 0.225)


def test_colour_decides_about_mirroring(tmp_path: Path) -> None:
    assert load(fill(tmp_path / "photos", {"a": 4, "b": 4})).calibration.flips
    assert not load(fill(tmp_path / "scans", {"a": 4, "b": 4}, grey=True)).calibration.flips


def test_the_content_decides_the_hash_and_the_cut(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        for index in range(20):
            paint(folder / "ab"[index % 2] / f"{index}.png", index)
    first, second = load(one), load(other)
    assert first.sha256 == second.sha256
    assert paths(first.test) == {name.replace("other/", "one/") for name in paths(second.test)}
    (other / "a" / "0.png").rename(other / "a" / "zero.png")
    renamed = load(other)
    assert renamed.sha256 != first.sha256
    paint(one / "b" / "1.png", 99)
    assert load(one).sha256 != first.sha256


def test_pictures_beyond_the_cache_are_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, {"a": 6, "b": 6})
    whole = part(load(tmp_path).train).images(np.arange(6))
    monkeypatch.setattr(store, "CACHE_BYTES", 5 * 3 * 8 * 8)
    data = load(tmp_path)
    assert np.array_equal(part(data.train).images(np.arange(6)), whole)
    victim = tmp_path / "b" / "005.png"
    paint(victim, 12345)
    with pytest.raises(InputError, match=r"005\.png was changed"):
        [split.images(np.arange(len(split))) for split in (data.train, data.val, data.test) if split]
    victim.write_bytes(b"")
    with pytest.raises(InputError, match=r"005\.png was changed"):
        [split.images(np.arange(len(split))) for split in (data.train, data.val, data.test) if split]


def test_hidden_files_debris_and_documents_are_ignored(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 4, "b": 4})
    for name in (
        "README.md",
        "labels.txt",
        ".DS_Store",
        "a/.DS_Store",
        "a/._000.png",
        "b/Thumbs.db",
        ".git/x",
        "__MACOSX/a/x.png",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"text")
    assert len(paths(load(tmp_path).train)) == 4
    assert load(tmp_path).skipped == ()


def test_folders_below_a_class_belong_to_it(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 3, "b/one": 2, "b/two/deep": 2})
    data = load(tmp_path)
    assert data.labels == ("a", "b")
    assert sum(len(part(split)) for split in (data.train, data.val, data.test)) == 7


def test_names_of_every_script_work(tmp_path: Path) -> None:
    fill(tmp_path, {"Möwe": 3, "鳥": 3, "with space": 3, "Zebra": 3, "apple": 3})
    assert load(tmp_path).labels == ("Möwe", "Zebra", "apple", "with space", "鳥")


def test_a_name_may_be_composed_in_one_part_and_not_in_the_other(tmp_path: Path) -> None:
    composed, split = unicodedata.normalize("NFC", "Möwe"), unicodedata.normalize("NFD", "Möwe")
    fill(tmp_path / "train", {composed: 3, "b": 3})
    fill(tmp_path / "val", {split: 3, "b": 3})
    assert load(tmp_path).labels == (composed, "b")


def test_links_are_followed_and_loops_end(tmp_path: Path) -> None:
    fill(tmp_path / "real", {"a": 4, "b": 4})
    linked = tmp_path / "linked"
    linked.mkdir()
    (linked / "a").symlink_to(tmp_path / "real" / "a")
    fill(linked, {"b": 3})
    (linked / "b" / "up").symlink_to(linked)
    (linked / "b" / "self").symlink_to(linked / "b")
    data = load(linked)
    assert sum(len(part(split)) for split in (data.train, data.val, data.test)) == 7


def test_progress_is_told(tmp_path: Path) -> None:
    heard = Heard()
    load_data(fill(tmp_path, {"a": 4, "b": 4}), input_size=8, progress=heard)
    assert heard.done == [(8, 8)]
    assert heard.lines == []
