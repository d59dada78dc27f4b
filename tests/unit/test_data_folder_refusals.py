from __future__ import annotations

import os
import re
import unicodedata
from pathlib import Path

import pytest
from PIL import Image

from edgekit.data import Data
from edgekit.data.folder import load_folder
from edgekit.data.split import Part
from edgekit.data.store import FileStore
from edgekit.errors import InputError
from edgekit.model import Preprocessing
from edgekit.progress import Silent

PLAIN = Preprocessing(height=8, width=8, mean=(0.0,) * 3, std=(1.0,) * 3)


class Heard(Silent):
    """A `Progress` that remembers what was said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def paint(path: Path, value: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.linear_gradient("L").resize((8, 8)).point(lambda grey: (grey + value) % 256).save(path)


def fill(folder: Path, classes: dict[str, int]) -> Path:
    for number, (label, count) in enumerate(classes.items()):
        for index in range(count):
            paint(folder / label / f"{index:03}.png", 16 * number + index)
    return folder


def load(folder: Path, skip_bad: bool = False) -> Data:
    return load_folder(folder, PLAIN, skip_bad=skip_bad)


def refused(folder: Path, skip_bad: bool = False) -> InputError:
    with pytest.raises(InputError) as caught:
        load(folder, skip_bad)
    assert caught.value.exit_code == 2
    return caught.value


def files_and_targets(data: Data) -> list[tuple[str, int]]:
    found: list[tuple[str, int]] = []
    for split in (data.train, data.val, data.test):
        assert isinstance(split, Part)
        assert isinstance(split.store, FileStore)
        assert split.targets is not None
        names = [split.store.pictures[index].path.parent.name for index in split.indices]
        found += zip(names, split.targets.tolist(), strict=True)
    return sorted(found)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.txt", b"hello"),
        ("empty.png", b""),
        ("page.jpg", b"<html>"),
        ("cut.png", None),
        ("pipe.png", "pipe"),
        ("dangling.png", "link"),
    ],
)
def test_a_bad_file_is_named_and_skipped_only_on_request(
    tmp_path: Path, name: str, content: bytes | str | None
) -> None:
    fill(tmp_path, {"a": 4, "b": 4})
    bad = tmp_path / "b" / name
    if content == "pipe":
        os.mkfifo(bad)
    elif content == "link":
        bad.symlink_to(tmp_path / "nowhere")
    elif content is None:
        bad.write_bytes((tmp_path / "b" / "000.png").read_bytes()[:-20])
    else:
        assert isinstance(content, bytes)
        bad.write_bytes(content)
    text = str(refused(tmp_path))
    assert name in text
    assert "--skip-bad" in text
    heard = Heard()
    data = load_folder(tmp_path, PLAIN, skip_bad=True, progress=heard)
    assert data.skipped == (f"b/{name}",)
    assert len(heard.lines) == 1
    assert f"b/{name}" in heard.lines[0]
    assert files_and_targets(data) == [("a", 0)] * 4 + [("b", 1)] * 4


def test_many_bad_files_are_counted(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 4, "b": 4})
    for index in range(9):
        (tmp_path / "a" / f"bad{index}.png").write_bytes(b"x")
    text = str(refused(tmp_path))
    assert "bad0.png: not a picture" in text
    assert "and 4 more" in text


def test_a_picture_beside_the_class_folders_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 4, "b": 4})
    fill(tmp_path / "val", {"a": 1, "b": 1})
    paint(tmp_path / "train" / "stray.png", 0)
    assert "stray.png: beside the class folders" in str(refused(tmp_path))
    assert load(tmp_path, skip_bad=True).skipped == ("train/stray.png",)


def test_missing_and_foreign_folders_are_refused(tmp_path: Path) -> None:
    assert "No such file or directory" in str(refused(tmp_path / "nowhere"))
    assert "is empty" in str(refused(tmp_path))
    (tmp_path / "file.png").write_bytes(b"x")
    assert "Not a directory" in str(refused(tmp_path / "file.png"))
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    assert "symbolic links" in str(refused(tmp_path / "loop"))


def test_one_class_is_refused(tmp_path: Path) -> None:
    assert "one class only, 'a'" in str(refused(fill(tmp_path / "one", {"a": 9})))
    fill(tmp_path / "two" / "train", {"a": 9})
    fill(tmp_path / "two" / "val", {"a": 9})
    assert "one class only" in str(refused(tmp_path / "two"))


def test_too_few_pictures_are_refused_with_their_class(tmp_path: Path) -> None:
    assert "few (2)" in str(refused(fill(tmp_path / "three", {"a": 9, "few": 2, "none": 0})))
    (tmp_path / "three" / "none").mkdir()
    assert "none (0)" in str(refused(tmp_path / "three"))
    fill(tmp_path / "two" / "train", {"a": 9, "few": 1})
    fill(tmp_path / "two" / "val", {"a": 1, "few": 1})
    assert re.search(r"train part .*few \(1\)", str(refused(tmp_path / "two")))
    assert load(fill(tmp_path / "enough", {"a": 3, "b": 3})).labelled


def test_skipping_every_picture_of_a_part_is_refused(tmp_path: Path) -> None:
    for name in ("train", "val", "test"):
        fill(tmp_path / name, {"a": 3, "b": 3})
    for broken in (tmp_path / "val").rglob("*.png"):
        broken.write_bytes(b"")
    assert re.search(r"val part .*a \(0\), b \(0\)", str(refused(tmp_path, skip_bad=True)))


def test_a_folder_of_nothing_but_bad_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.png").write_bytes(b"")
    assert "x.png" in str(refused(tmp_path))
    assert "no pictures" in str(refused(tmp_path, skip_bad=True))


def test_val_must_have_trains_classes(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 3, "b": 3})
    fill(tmp_path / "val", {"a": 3, "c": 3})
    text = str(refused(tmp_path))
    assert "other classes than train/" in text
    assert "it lacks b" in text
    assert "it adds c" in text


def test_half_a_layout_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "train", {"a": 3, "b": 3})
    text = str(refused(tmp_path))
    assert "neither val/ nor test/" in text
    assert str(tmp_path / "train") in text
    fill(tmp_path / "val", {".": 3})
    assert "no class folders" in str(refused(tmp_path))
    fill(tmp_path / "valid", {"a": 3, "b": 3})
    assert "val and valid" in str(refused(tmp_path))


def test_what_may_not_be_read_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(tmp_path, {"a": 3, "b": 3})

    def denied(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    with monkeypatch.context() as patched:
        patched.setattr(Path, "read_bytes", denied)
        assert re.search(r"cannot read .*\.png: Permission denied", str(refused(tmp_path, skip_bad=True)))
    with monkeypatch.context() as patched:
        patched.setattr(Path, "iterdir", denied)
        assert re.search("cannot read the data folder .*: Permission denied", str(refused(tmp_path)))


def test_a_class_name_that_is_no_text_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {"a": 3})
    os.mkdir(os.fsencode(tmp_path) + b"/caf\xe9")  # noqa: PTH102
    text = str(refused(tmp_path))
    assert "not UTF-8" in text
    assert r"caf\xe9" in text.replace("udce9", "xe9")


def test_one_name_in_two_spellings_is_refused(tmp_path: Path) -> None:
    fill(tmp_path, {unicodedata.normalize("NFC", "Möwe"): 3, unicodedata.normalize("NFD", "Möwe"): 3})
    assert "one name, spelt in two ways" in str(refused(tmp_path))
