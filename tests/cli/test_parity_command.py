"""`edgekit parity`: the same pictures through PyTorch and through every runtime's file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgekit import exporters
from edgekit.artifact import ArtifactFolder
from edgekit.cli.app import app
from edgekit.errors import EdgekitError, InputError, MissingError
from edgekit.model import Model
from edgekit.parity import Array
from edgekit.pipeline import agreement
from edgekit.target import Target

SMALL = ("mobilenetv2", "--input-size", "32", "--width", "0.25", "--samples", "4")


@pytest.fixture(autouse=True)
def _few_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(agreement, "CALIBRATION_SAMPLES", 32)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["parity", *arguments])


def test_one_batch_goes_through_all_runtimes() -> None:
    result = run(*SMALL, "--json")
    document = json.loads(result.stdout)
    sides = {(side["runtime"], side["precision"]): side for side in document["sides"]}
    assert set(sides) == {
        (runtime, precision)
        for runtime in ("onnxruntime", "openvino", "litert")
        for precision in ("float32", "int8")
    }
    assert not [side["failed"] for side in sides.values() if side["failed"]]
    for (_, precision), side in sides.items():
        assert side["sqnr_db"] > (60 if precision == "float32" else 10)
        assert precision == "float32" or len(side["tensors"]) > 30
        assert (side["sqnr_db"] < 25) == bool(side["diverges"])
        assert (precision == "int8" and bool(side["diverges"])) == bool(side["repair"])
    assert document["samples"] == 4
    assert document["holds"] == all(side["sqnr_db"] >= 25 for side in sides.values())
    assert result.exit_code == (0 if document["holds"] else 1)


def test_tensors_are_listed_where_they_are_asked_for() -> None:
    text = run(*SMALL, "--target", "host", "--tensors").stdout
    assert "host, int8" in text
    assert "hardtanh_3" in text
    assert "openvino" not in text


def test_a_file_that_departs_is_named_with_its_repair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.exporters.layer_parity.THRESHOLD_DB", 150.0)  # now every file has departed
    monkeypatch.setattr("edgekit.pipeline.departing.THRESHOLD_DB", 150.0)
    result = run(*SMALL, "--target", "host")
    assert result.exit_code == 1
    assert "host, int8: first to diverge: " in result.stdout
    assert "; furthest " in result.stdout
    assert "in float: " in result.stdout


def test_a_runtime_that_is_missing_is_one_line_and_the_others_run(monkeypatch: pytest.MonkeyPatch) -> None:
    def check(name: str) -> None:
        if name == "tflite":
            raise MissingError("litert_torch is not installed", hint="pip install 'edgekit[litert]'")

    monkeypatch.setattr(agreement, "check_packages", check)
    result = run(*SMALL, "-t", "android", "-t", "host", "--json")
    sides = json.loads(result.stdout)["sides"]
    assert [bool(side["failed"]) for side in sides] == [True, True, False, False]
    assert "not installed" in sides[0]["failed"]
    assert "pip install" in sides[0]["failed"]
    assert result.exit_code == (1 if any(side["diverges"] for side in sides) else 3)


def test_a_file_that_its_exporter_refuses_is_one_line_too(monkeypatch: pytest.MonkeyPatch) -> None:
    written = exporters.export

    def export(model: Model, target: Target, folder: Path, known: Array) -> ArtifactFolder:
        if target.format == "tflite" and model.quantization:
            raise EdgekitError("model.tflite does not hold PyTorch's scales")
        return written(model, target, folder, known)

    monkeypatch.setattr(agreement, "export", export)
    sides = json.loads(run(*SMALL, "-t", "android", "--json").stdout)["sides"]
    assert [side["failed"] for side in sides] == ["", "model.tflite does not hold PyTorch's scales"]
    assert sides[1]["exit_code"] == 70


def test_a_repair_that_cannot_be_made_leaves_what_was_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.exporters.layer_parity.THRESHOLD_DB", 150.0)
    monkeypatch.setattr("edgekit.pipeline.departing.THRESHOLD_DB", 150.0)
    written = exporters.export

    def export(model: Model, target: Target, folder: Path, known: Array) -> ArtifactFolder:
        if model.quantization and model.quantization.float_operators:
            raise InputError("this cannot be written")
        return written(model, target, folder, known)

    monkeypatch.setattr(agreement, "export", export)
    side = json.loads(run(*SMALL, "-t", "host", "--json").stdout)["sides"][1]
    assert side["failed"] == ""
    assert side["sqnr_db"] > 10
    assert side["repair"][0].endswith("-200.0 dB, not kept")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("-t", "hots"), "did you mean"),
        (("--samples", "0"), "--samples 0"),
        (("--data", "no/such/folder"), "no/such/folder"),
    ],
)
def test_bad_input_is_refused(arguments: tuple[str, ...], said: str) -> None:
    result = run(*SMALL, *arguments)
    assert result.exit_code == 2
    assert said in result.stderr.lower()


def test_a_folder_without_a_network_is_refused(tmp_path: Path) -> None:
    result = run(str(tmp_path))
    assert result.exit_code == 2
