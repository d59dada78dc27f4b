"""A run for a phone ends with its bundle; exported again it is the same bytes; verify knows whether it is whole."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from bundles import rewritten
from PIL import Image
from small_runs import request
from typer.testing import CliRunner, Result

from edgekit.artifact import MANIFEST
from edgekit.bundle.manifest import read_manifest
from edgekit.cli.app import app
from edgekit.devices import TimesOnly
from edgekit.errors import InputError
from edgekit.pipeline import compress, resolve
from edgekit.report import Report

RECIPE = """
id = "small"
title = "small"
[train]
epochs = 2

[[stages]]
kind = "quantize"
calibration_samples = 16
"""


@pytest.fixture(scope="module")
def run(brief: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    folder = tmp_path_factory.mktemp("phone")
    (folder / "small.toml").write_text(RECIPE)
    done = compress(resolve(request(folder, target="android", recipe=str(folder / "small.toml"))))
    return done.report, done.folder


def edgekit(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(each) for each in arguments])


def test_a_run_for_a_phone_writes_its_bundle_with_its_own_figures(run: tuple[Report, Path]) -> None:
    report, folder = run
    manifest = read_manifest(folder / "bundle")
    assert manifest.source_sha256 == report.artifact.sha256
    assert manifest.accuracy is not None
    assert manifest.accuracy.value == report.steps[-1].accuracy
    assert manifest.accuracy.baseline == report.steps[0].accuracy
    assert (manifest.accuracy.data, manifest.accuracy.pictures) == ("digits", report.data["test"])
    assert manifest.latencies == (report.steps[-1].latency_ms,)
    assert manifest.latencies[0].source.startswith("proxy:litert on local")
    assert manifest.versions == report.versions
    assert "demonstration data" in (folder / "bundle/MODEL_CARD.md").read_text()
    assert "A proxy is no phone" in (folder / "bundle/MODEL_CARD.md").read_text()


def test_exported_again_it_is_the_same_bytes(run: tuple[Report, Path], tmp_path: Path) -> None:
    _, folder = run
    for name in ("one", "two"):
        done = edgekit("export", folder, "--target", "phone", "--bundle", "--out", tmp_path / name)
        assert done.exit_code == 0, done.output
        assert (tmp_path / f"{name}.zip").read_bytes() == (folder / "bundle.zip").read_bytes()
    refused = edgekit("export", folder, "--target", "phone", "--bundle", "--out", tmp_path / "one")
    assert refused.exit_code == 2
    licensed = ("--out", tmp_path / "one", "--force", "--license", "CC-BY-4.0", "--json")
    told = json.loads(edgekit("export", folder, "--target", "phone", "--bundle", *licensed).stdout)
    assert (told["license"], told["zip"]) == ("CC-BY-4.0", str(tmp_path / "one.zip"))
    assert told.items() >= json.loads((tmp_path / "one" / MANIFEST).read_text()).items()
    assert "CC-BY-4.0" in (tmp_path / "one/MODEL_CARD.md").read_text()


def test_verify_holds_for_run_artifact_bundle_and_zip(run: tuple[Report, Path]) -> None:
    _, folder = run
    for path, answers in (
        (folder, 7),
        (folder / "artifact", 2),
        (folder / "bundle", 5),
        (folder / "bundle.zip", 5),
    ):
        done = edgekit("verify", path, "--json", "--threads", "1")
        document = json.loads(done.stdout)
        assert (done.exit_code, document["holds"]) == (0, True), document
        assert len(document["answers"]) == answers
    table = edgekit("verify", folder).stdout
    assert "have the SHA-256 that was written down" in table
    assert "preprocessing of the picture" in table


def test_wrong_answers_exit_1_and_a_changed_byte_2(run: tuple[Report, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run[1] / "bundle", tmp_path / "copy"))
    (copy / "known/output-0.f32").write_bytes(np.full(10, 99, "<f4").tobytes())
    refused = edgekit("verify", copy)
    assert refused.exit_code == 2
    assert "output-0.f32 was changed" in refused.stderr
    rewritten(copy)
    failed = edgekit("verify", copy)
    assert failed.exit_code == 1
    assert "FAILED" in failed.stdout
    assert edgekit("verify", tmp_path / "nowhere").exit_code == 2


def test_a_file_that_is_not_the_reports_has_no_figures(run: tuple[Report, Path], tmp_path: Path) -> None:
    copy = Path(shutil.copytree(run[1], tmp_path / "copy"))
    report = json.loads((copy / "report.json").read_text())
    report["artifact"]["sha256"] = "0" * 64
    (copy / "report.json").write_text(json.dumps(report))
    done = edgekit("export", copy, "--target", "android", "--bundle", "--out", tmp_path / "out", "--json")
    told = json.loads(done.stdout)
    assert (told["accuracy"], told["latencies"]) == (None, [])


def test_a_network_of_the_zoo_is_bundled_without_figures(brief: None, tmp_path: Path) -> None:
    out = tmp_path / "out"
    options = ("--target", "android", "--input-size", "32", "--width", "0.5", "--bundle", "--out", out)
    done = edgekit("export", "mobilenetv1", *options)
    assert done.exit_code == 0, done.output
    manifest = read_manifest(out)
    assert (manifest.accuracy, manifest.labels, manifest.precision) == (None, (), "fp32")
    assert not (out / "labels.txt").exists()
    assert edgekit("verify", tmp_path / "out.zip").exit_code == 0
    assert json.loads((out / MANIFEST).read_text())["known_answers"]["answered_by"].startswith("LiteRT")


def test_verify_of_a_run_wants_folder_and_zip_and_the_float_file(
    run: tuple[Report, Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(run[1], tmp_path / "copy"))
    zipfile = copy / "bundle.zip"
    whole = zipfile.read_bytes()
    zipfile.unlink()
    refused = edgekit("verify", copy)
    assert (refused.exit_code, "bundle.zip is missing" in refused.stderr) == (2, True)
    rewritten(copy / "bundle", target="other")
    zipfile.write_bytes(whole)
    refused = edgekit("verify", copy)
    assert (refused.exit_code, "hold different bundles" in refused.stderr) == (2, True)
    shutil.rmtree(copy / "bundle")
    zipfile.unlink()
    refused = edgekit("verify", copy)
    assert (refused.exit_code, "bundle is missing" in refused.stderr) == (2, True)
    (copy / "artifact/float/model.tflite").write_bytes(b"none")
    refused = edgekit("verify", copy)
    assert (refused.exit_code, "float/model.tflite was changed" in refused.stderr) == (2, True)


def test_resume_writes_a_bundle_that_is_missing_and_sweeps_leftovers(
    run: tuple[Report, Path], tmp_path: Path
) -> None:
    copy = Path(shutil.copytree(run[1], tmp_path / "run"))
    whole = (copy / "bundle.zip").read_bytes()
    shutil.rmtree(copy / "bundle")
    (copy / ".bundle.left").mkdir()
    (copy / ".bundle.zip.left").write_text("half")
    recipe = str(run[1].parent / "small.toml")
    again = compress(resolve(request(tmp_path, target="android", recipe=recipe, resume=True)))
    assert again.report.artifact == run[0].artifact
    assert (copy / "bundle.zip").read_bytes() == whole
    assert read_manifest(copy / "bundle").source_sha256 == run[0].artifact.sha256
    assert not list(copy.glob(".bundle*"))


def test_a_zip_that_is_nobodys_bundle_stays(run: tuple[Report, Path], tmp_path: Path) -> None:
    out, beside = tmp_path / "out", tmp_path / "out.zip"
    options = ("--target", "android", "--bundle", "--out", out, "--force")
    beside.write_bytes(b"mine")
    refused = edgekit("export", run[1], *options)
    assert (refused.exit_code, beside.read_bytes(), out.exists()) == (2, b"mine", False)
    beside.unlink()
    beside.mkdir()
    assert edgekit("export", run[1], *options).exit_code == 2
    assert not out.exists()
    beside.rmdir()
    shutil.copy(run[1] / "bundle.zip", beside)
    assert edgekit("export", run[1], *options).exit_code == 0
    plain = edgekit("export", run[1], "--target", "android", "--out", out, "--force")
    assert (plain.exit_code, "holds a bundle" in plain.stderr) == (2, True)


def test_options_that_would_be_ignored_are_refused(run: tuple[Report, Path], tmp_path: Path) -> None:
    out = ("--target", "android", "--out", tmp_path / "out")
    for wrong, told in (
        (("--license", "MIT"), "--license without --bundle"),
        (("--bundle", "--weights", "a.pth"), "--weights with"),
        (("--bundle", "--input-size", "64"), "--input-size with"),
        (("--bundle", "--width", "2"), "--width with"),
    ):
        refused = edgekit("export", run[1], *out, *wrong)
        assert (refused.exit_code, told in refused.stderr) == (2, True), refused.output
    other = edgekit("export", "mobilenetv1", "--target", "jetson", "--bundle", "--out", tmp_path / "out")
    assert (other.exit_code, r"phones run .tflite files" in other.stderr) == (2, True)


def test_a_class_that_is_no_line_is_refused_before_training(brief: None, tmp_path: Path) -> None:
    for name in ("a\nb", "c"):
        for index in range(8):
            picture = tmp_path / "data" / name / f"{index}.png"
            picture.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(np.full((32, 32, 3), index, np.uint8)).save(picture)
    with pytest.raises(InputError, match="is not one line"):
        resolve(request(tmp_path, target="android", data=tmp_path / "data"))


class Clock(TimesOnly):
    """A device that gives no outputs."""

    name = "a clock"


def test_verify_computes_outputs_here_where_the_device_gives_none(
    run: tuple[Report, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.pipeline.place.open_device", lambda uri: Clock())
    done = edgekit("verify", run[1] / "bundle", "--device", "adb://phone")
    assert done.exit_code == 0, done.output
    assert "a clock gives no outputs: they are computed on" in done.stderr
