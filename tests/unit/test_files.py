"""Folders and artifacts: whole or not at all, and only what was named."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit import files
from edgekit.artifact import MANIFEST, Artifact, ArtifactFolder, TensorSpec, load_artifact
from edgekit.errors import InputError
from edgekit.model import Preprocessing


def artifact(folder: Path, *names: str) -> ArtifactFolder:
    for name in names:
        (folder / name).write_text(f"{name} of {folder.name}")
    spec = TensorSpec(name="x", shape=(1, 3, 8, 8), dtype="float32", layout="NCHW")
    found = Artifact(
        model="m",
        task="classification",
        format="openvino",
        precision="fp32",
        model_file=names[0],
        sha256={name: files.sha256(folder / name) for name in names},
        inputs=(spec,),
        outputs=(spec,),
        preprocessing=Preprocessing(height=8, width=8, mean=(0, 0, 0), std=(1, 1, 1)),
        labels=(),
    ).at(folder)
    found.write()
    return found


def test_a_new_folder_takes_the_place_of_the_old_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()
    monkeypatch.chdir(tmp_path / "out")
    with files.new_folder(Path()) as folder:
        (folder / "new").touch()
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*")] == ["out", "out/new"]


def test_a_folder_that_was_not_finished_leaves_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out/old").touch()

    def interrupted() -> None:
        with files.new_folder(tmp_path / "out") as folder:
            (folder / "new").touch()
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "old"]


def test_a_folder_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot write"), files.new_folder(tmp_path / "file" / "out"):
        pass


def test_only_what_edgekit_wrote_is_replaced(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    files.check_new(photos, force=False, mark=MANIFEST)
    photos.mkdir()
    with pytest.raises(InputError, match="exists already"):
        files.check_new(photos, force=False, mark=MANIFEST)
    files.check_new(photos, force=True, mark=MANIFEST)  # an empty folder loses nothing
    (photos / "holiday.jpg").touch()
    for path in (photos, photos / "holiday.jpg"):
        with pytest.raises(InputError, match="nothing that edgekit wrote"):
            files.check_new(path, force=True, mark=MANIFEST)
    (photos / MANIFEST).touch()
    files.check_new(photos, force=True, mark=MANIFEST)


def test_the_file_that_is_named_is_the_file_that_is_meant(tmp_path: Path) -> None:
    artifact(tmp_path, "model.xml", "model.bin", "rival.xml")
    for name in ("", "model.xml", MANIFEST):
        assert load_artifact(tmp_path / name).model_path == tmp_path / "model.xml"
    with pytest.raises(
        InputError, match=r"rival.xml is not the artifact's model: its manifest names model.xml"
    ):
        load_artifact(tmp_path / "rival.xml")


def test_a_model_file_without_a_hash_is_refused(tmp_path: Path) -> None:
    manifest = artifact(tmp_path, "model.xml").manifest
    manifest.model_copy(update={"sha256": {}}).at(tmp_path).write()
    with pytest.raises(InputError, match=r"has no SHA-256 of model.xml"):
        load_artifact(tmp_path)


def test_the_hash_of_a_model_covers_all_its_files(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    alone = artifact(tmp_path / "one", "model.xml")
    assert alone.sha256 == files.sha256(tmp_path / "one/model.xml")
    both = artifact(tmp_path / "one", "model.xml", "model.bin")
    other = artifact(tmp_path / "two", "model.xml", "model.bin")
    (tmp_path / "two/model.xml").write_bytes((tmp_path / "one/model.xml").read_bytes())
    hashes = dict(other.manifest.sha256) | {"model.xml": both.manifest.sha256["model.xml"]}
    same_graph = other.manifest.model_copy(update={"sha256": hashes}).at(other.folder)
    assert both.sha256 != same_graph.sha256
