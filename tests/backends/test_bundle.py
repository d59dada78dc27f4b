"""A phone's bundle: what is in it, that it is the same bytes again, and everything that verify must refuse."""

from __future__ import annotations

import json
import shutil
import tempfile
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from bundles import LOCAL, bundled, rewritten
from exporting import exported
from small_networks import Inverted, layer, model_of
from torch import nn

from edgekit import files
from edgekit.artifact import MANIFEST, ArtifactFolder
from edgekit.bundle import verify_bundle, zipped
from edgekit.bundle.manifest import CODE, SUMS, read_manifest
from edgekit.errors import InputError
from edgekit.exporters.litert_graph import pack, read_graph, unpack


@pytest.fixture(scope="module")
def whole(phone_int8: ArtifactFolder, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bundled(phone_int8, tmp_path_factory.mktemp("bundle") / "whole")


@pytest.fixture
def bundle(whole: Path, tmp_path: Path) -> Path:
    """A copy to spoil."""
    return Path(shutil.copytree(whole, tmp_path / "bundle"))


def test_it_holds_all_that_an_app_needs(whole: Path, phone_int8: ArtifactFolder) -> None:
    manifest = read_manifest(whole)
    there = {path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file()}
    assert there == {MANIFEST, SUMS, *manifest.sha256}
    assert {"model.tflite", "labels.txt", "MODEL_CARD.md", "known/picture.png", *CODE} <= there
    assert (whole / "labels.txt").read_text().split() == list(phone_int8.manifest.labels)
    assert manifest.source_sha256 == phone_int8.sha256
    assert manifest.inputs[0].layout == "NHWC"
    tensor = manifest.inputs[0].quantization
    assert tensor is not None
    assert tensor.scale > 0
    assert "ai-edge-litert" in manifest.versions


def test_figures_that_nobody_took_are_absent(whole: Path) -> None:
    manifest = json.loads((whole / MANIFEST).read_text())
    assert (manifest["accuracy"], manifest["latencies"], manifest["license"]) == (None, [], None)
    card = (whole / "MODEL_CARD.md").read_text()
    assert "Accuracy: not measured." in card
    assert "Latency: not measured." in card
    assert "not stated" in card
    assert "generated and not compiled" in card


def test_the_same_artifact_gives_the_same_bytes(
    whole: Path, phone_int8: ArtifactFolder, tmp_path: Path
) -> None:
    again = bundled(phone_int8, tmp_path / "elsewhere" / "again")
    assert zipped(again) == zipped(whole)
    with zipfile.ZipFile(written(tmp_path / "b.zip", zipped(whole))) as archive:
        assert {member.date_time for member in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert archive.namelist() == sorted(archive.namelist())


def test_folder_and_zip_are_verified(whole: Path, tmp_path: Path) -> None:
    for path in (whole, written(tmp_path / "b.zip", zipped(whole))):
        found = verify_bundle(path, LOCAL)
        assert found.holds
        assert found.checks[0].name == "preprocessing of the picture"
        assert len(found.checks) == 5
        assert found.files == len(read_manifest(whole).sha256)


def test_a_changed_byte_in_any_file_is_told(whole: Path, tmp_path: Path) -> None:
    names = [path.relative_to(whole) for path in whole.rglob("*") if path.is_file()]
    for number, name in enumerate(names):
        copy = Path(shutil.copytree(whole, tmp_path / str(number)))
        content = bytearray((copy / name).read_bytes())
        content[len(content) // 2] ^= 1
        (copy / name).write_bytes(content)
        with pytest.raises(InputError, match=r"was changed|is missing|other files or hashes"):
            verify_bundle(copy, LOCAL)
    assert len(names) == 16


def test_a_byte_of_the_zip(whole: Path, tmp_path: Path) -> None:
    content = bytearray(zipped(whole))
    content[content.rindex(b"PK\x03\x04") + 200] ^= 1  # in the last member's data
    with pytest.raises(InputError, match="not a whole zip"):
        verify_bundle(written(tmp_path / "b.zip", bytes(content)), LOCAL)


def test_answers_that_are_not_the_models_fail_without_an_error(bundle: Path) -> None:
    wrong = np.frombuffer((bundle / "known/output-1.f32").read_bytes(), "<f4") + np.float32(1)
    (bundle / "known/output-1.f32").write_bytes(wrong.tobytes())
    rewritten(bundle)
    found = verify_bundle(bundle, LOCAL)
    assert [check.name for check in found.checks if not check.holds] == ["known/output-1.f32"]


def test_a_picture_that_is_none_and_signatures_of_others_are_refused(bundle: Path) -> None:
    (bundle / "known/picture.png").write_bytes(b"none")
    rewritten(bundle)
    with pytest.raises(InputError, match=r"picture\.png is no picture"):
        verify_bundle(bundle, LOCAL)
    output = read_manifest(bundle).outputs[0].model_dump(mode="json")
    for changes, told in (
        ({"outputs": []}, "1 inputs and 1 outputs, and its manifest tells 1 and 0"),
        ({"outputs": [output | {"layout": "CN"}]}, "has the layout CN"),
        ({"outputs": [output | {"dtype": "int8"}]}, "is int8"),
        ({"outputs": [output | {"shape": [1, 11]}]}, r"is float32 \[1, 10\], and its manifest tells"),
    ):
        copy = Path(shutil.copytree(bundle, bundle.parent / told[:8], dirs_exist_ok=True))
        rewritten(copy, **changes)
        with pytest.raises(InputError, match=told):
            verify_bundle(copy, LOCAL)


def test_other_preprocessing_fails(bundle: Path) -> None:
    ready = read_manifest(bundle).preprocessing.model_dump(mode="json")
    rewritten(bundle, preprocessing=ready | {"mean": [0.45, 0.5, 0.5]})
    found = verify_bundle(bundle, LOCAL)
    assert not found.checks[0].holds


@pytest.mark.parametrize("name", ["../outside.txt", "/etc/hostname", "known/../../outside.txt"])
def test_a_list_that_points_outside_is_refused(name: str, bundle: Path) -> None:
    (bundle.parent / "outside.txt").write_text("secret")
    digest = files.sha256(bundle.parent / "outside.txt")
    rewritten(bundle, sha256={**read_manifest(bundle).sha256, name: digest})
    with (bundle / SUMS).open("a") as listed:
        listed.write(f"{digest}  {name}\n")
    with pytest.raises(InputError, match=r"points outside"):
        verify_bundle(bundle, LOCAL)


def test_known_answers_outside_the_folder_are_refused(bundle: Path) -> None:
    known = read_manifest(bundle).known_answers.model_dump(mode="json")
    rewritten(bundle, known_answers=known | {"picture": "../picture.png"})
    with pytest.raises(InputError, match=r"names '\.\./picture\.png', which is no file of the bundle"):
        verify_bundle(bundle, LOCAL)


@pytest.mark.parametrize(
    "name", ["../evil.txt", "/evil.txt", "a/../../evil.txt", "a\\..\\evil.txt", "C:evil"]
)
def test_a_zip_that_would_leave_its_folder_is_refused(
    name: str, whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner = tmp_path / "a" / "b"
    inner.mkdir(parents=True)
    monkeypatch.setattr(tempfile, "tempdir", str(inner))  # where it is unpacked
    path = written(tmp_path / "b.zip", zipped(whole))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "evil")
    with pytest.raises(InputError, match="points outside its folder"):
        verify_bundle(path, LOCAL)
    assert not list(tmp_path.rglob("*evil*"))
    assert not Path("/evil.txt").exists()


def test_a_link_in_a_zip_is_refused(whole: Path, tmp_path: Path) -> None:
    path = written(tmp_path / "b.zip", zipped(whole))
    link = zipfile.ZipInfo("known/link")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(InputError, match="no plain file"):
        verify_bundle(path, LOCAL)


def test_a_file_that_was_added_is_refused(bundle: Path) -> None:
    (bundle / "more.txt").write_text("more")
    with pytest.raises(InputError, match=r"more\.txt is not in the bundle's list"):
        verify_bundle(bundle, LOCAL)


def test_labels_that_do_not_fit_the_output_are_refused(phone_int8: ArtifactFolder, tmp_path: Path) -> None:
    fewer = phone_int8.manifest.model_copy(update={"labels": ("cat", "dog")}).at(phone_int8.folder)
    with pytest.raises(InputError, match=r"2 labels, and its output \[1, 10\] has 10 channels"):
        bundled(fewer, tmp_path / "fewer")
    broken = phone_int8.manifest.model_copy(update={"labels": ("a\nb", *"234567890")}).at(phone_int8.folder)
    with pytest.raises(InputError, match="is not one line"):
        bundled(broken, tmp_path / "broken")


def test_labels_in_the_list_that_are_not_the_packed_ones_are_refused(bundle: Path) -> None:
    labels = [f"other {index}" for index in range(10)]
    (bundle / "labels.txt").write_text("".join(f"{label}\n" for label in labels))
    rewritten(bundle, labels=labels)
    with pytest.raises(InputError, match="are not the same"):
        verify_bundle(bundle, LOCAL)
    rewritten(bundle, labels=labels[:2])
    with pytest.raises(InputError, match="2 labels, and its output"):
        verify_bundle(bundle, LOCAL)


def test_dynamic_inputs_are_refused(phone_int8: ArtifactFolder, tmp_path: Path) -> None:
    folder = tmp_path / "dynamic"
    shutil.copytree(phone_int8.folder, folder)
    model = unpack(phone_int8.model_path.read_bytes())
    graph = model.subgraphs[0]
    graph.tensors[graph.inputs[0]].shapeSignature = np.array([-1, 32, 32, 3], np.int32)
    (folder / "model.tflite").write_bytes(pack(model))
    with pytest.raises(InputError, match=r"dynamic sizes: x is \[-1, 32, 32, 3\]"):
        bundled(phone_int8.manifest.at(folder), tmp_path / "out")


def test_formats_and_batches_of_other_uses_are_refused(phone_int8: ArtifactFolder, tmp_path: Path) -> None:
    other = phone_int8.manifest.model_copy(update={"format": "onnx"}).at(phone_int8.folder)
    with pytest.raises(InputError, match=r"phones run \.tflite files"):
        bundled(other, tmp_path / "onnx")
    spec = phone_int8.manifest.inputs[0].model_copy(update={"shape": (4, 32, 32, 3)})
    several = phone_int8.manifest.model_copy(update={"inputs": (spec,)}).at(phone_int8.folder)
    with pytest.raises(InputError, match="takes 4 pictures at once"):
        bundled(several, tmp_path / "batch")


def test_a_network_that_segments_is_bundled(tmp_path: Path) -> None:
    model = model_of(lambda: nn.Sequential(layer(3, 8, 3), Inverted(8, 8, stride=1), nn.Conv2d(8, 4, 1)))
    masks = replace(model, task="segmentation", labels=("ground", "road", "sky", "tree"))
    artifact = exported(masks, "android", tmp_path / "artifact")
    folder = bundled(artifact, tmp_path / "bundle")
    manifest = read_manifest(folder)
    assert (manifest.task, manifest.outputs[0].layout) == ("segmentation", "NHWC")
    assert verify_bundle(folder, LOCAL).holds
    known = np.frombuffer((folder / "known/output-0.f32").read_bytes(), "<f4").reshape(
        manifest.outputs[0].shape
    )
    assert np.allclose(known[0].transpose(2, 0, 1), artifact.parity()[1][0], atol=1e-4)
    assert "NHWC [1, 32, 32, 4]: logits" in (folder / "EdgekitModel.kt").read_text()


def test_crafted_bundles_are_bad_input(bundle: Path) -> None:
    manifest = read_manifest(bundle)
    known = manifest.known_answers.model_dump(mode="json")
    ready = manifest.preprocessing.model_dump(mode="json")
    fed = manifest.inputs[0].model_dump(mode="json")
    cases: tuple[tuple[dict[str, object], str], ...] = (
        ({"preprocessing": ready | {"height": 31}}, "does not give what"),
        ({"preprocessing": ready | {"std": [0.5, 0.5]}}, "does not give what"),
        ({"known_answers": known | {"inputs": known["inputs"][:2]}}, "2 known inputs and 3 answers"),
        ({"known_answers": known | {"tolerance": float("nan")}}, "is not a bundle's manifest"),
        ({"inputs": [fed | {"layout": "NC"}]}, r"\[1, 32, 32, 3\] is not NC"),
    )
    for number, (changes, told) in enumerate(cases):
        copy = Path(shutil.copytree(bundle, bundle.parent / str(number)))
        rewritten(copy, **changes)
        with pytest.raises(InputError, match=told):
            verify_bundle(copy, LOCAL)


def test_files_that_are_missing_or_no_text_are_bad_input(bundle: Path) -> None:
    (bundle / "labels.txt").write_bytes(b"\xff" * 9)
    rewritten(bundle)
    with pytest.raises(InputError, match="are not the same"):
        verify_bundle(bundle, LOCAL)
    (bundle / "model.tflite").unlink()
    rewritten(bundle)
    with pytest.raises(InputError, match=r"names 'model\.tflite', which is no file of the bundle"):
        verify_bundle(bundle, LOCAL)


def test_known_values_that_are_no_numbers_are_bad_input(bundle: Path) -> None:
    for name in ("known/input-0.f32", "known/output-picture.f32"):
        values = np.fromfile(bundle / name, "<f4")
        np.where(np.arange(len(values)) == 1, np.float32("inf"), values).astype("<f4").tofile(bundle / name)
        rewritten(bundle)
        with pytest.raises(InputError, match="values that are no numbers"):
            verify_bundle(bundle, LOCAL)
        values.tofile(bundle / name)


def test_links_in_a_folder_and_names_of_no_file_are_refused(bundle: Path, tmp_path: Path) -> None:
    (bundle / "more").symlink_to(bundle / "known")
    with pytest.raises(InputError, match="more is not in the bundle's list"):
        verify_bundle(bundle, LOCAL)
    (bundle / "more").unlink()
    card = bundle / "MODEL_CARD.md"
    shutil.copy(card, tmp_path / "card")
    for where in (tmp_path / "card", bundle / "labels.txt", card):  # outside, inside, itself
        card.unlink()
        card.symlink_to(where)
        with pytest.raises(InputError, match=r"points outside|no plain file|cannot be read"):
            verify_bundle(bundle, LOCAL)
    (bundle / SUMS).write_text(f"{'0' * 64}  {'a' * 300}\n")
    with pytest.raises(InputError, match=r"cannot be read|is missing"):
        verify_bundle(bundle, LOCAL)


def test_errors_in_a_zip_name_the_zip(bundle: Path, tmp_path: Path) -> None:
    (bundle / "labels.txt").write_text("other")
    path = written(tmp_path / "b.zip", zipped(bundle))
    with pytest.raises(InputError, match=r"b\.zip/labels\.txt was changed"):
        verify_bundle(path, LOCAL)


def test_zips_packed_in_other_ways_are_refused(bundle: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "b.zip", "w", zipfile.ZIP_LZMA) as archive:
        archive.write(bundle / SUMS, SUMS)
    with pytest.raises(InputError, match="packed in another way"):
        verify_bundle(tmp_path / "b.zip", LOCAL)
    whole = zipped(bundle)
    for name in (
        b"known/picture.png",
        b"MODEL_CARD.md",
    ):  # in the data and in the directory: a name of no file
        spoilt = written(tmp_path / "c.zip", whole.replace(name, name[:-1] + b"\0"))
        with pytest.raises(InputError):
            verify_bundle(spoilt, LOCAL)


def test_damaged_models_are_bad_input(bundle: Path) -> None:
    content = (bundle / "model.tflite").read_bytes()
    random = np.random.default_rng(0)
    refused = 0
    for _ in range(60):
        spoilt = bytearray(content)
        for place in random.integers(8, len(content), 40):
            spoilt[place] = random.integers(0, 256)
        try:
            read_graph(bytes(spoilt))
        except InputError:
            refused += 1
    assert refused > 10


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path
