"""`edgekit sparsity`: which layers could gain and why the others cannot, which zeros a file holds, what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_networks import model_of
from torch import nn
from typer.testing import CliRunner, Result

from edgekit.cli.app import app
from edgekit.exporters import export
from edgekit.pipeline.prospects import prospects
from edgekit.stages.sparsity import project
from edgekit.target import Target, load_target

SMALL = ("mobilenetv2", "--input-size", "64")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["sparsity", *arguments])


def document(*arguments: str) -> dict[str, Any]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def obstacles(*arguments: str) -> dict[str, str]:
    return {each["layer"]: each["obstacle"] for each in document(*arguments)["layers"]}


def test_a_jetson_gains_where_input_channels_come_in_fours() -> None:
    found = document(*SMALL, "--target", "jetson")
    by_layer = {each["layer"]: each for each in found["layers"]}
    assert (found["pattern"], found["precision"], len(by_layer)) == ("2:4", "int8", 53)
    assert by_layer["features.1.conv.0.0"]["obstacle"] == "depthwise"
    assert by_layer["features.0.0"]["obstacle"] == "3 input channels are no multiple of 4"
    wide = by_layer["classifier.1"]
    assert wide["obstacle"] == ""
    assert wide["dense_ms"] / wide["sparse_ms"] == pytest.approx(
        2, abs=0.02
    )  # its weights are all that it reads
    assert sum(not each["obstacle"] for each in by_layer.values()) == 35
    assert 1 < found["dense_ms"] / found["sparse_ms"] < 2


def test_a_phone_gains_in_float_alone() -> None:
    assert set(obstacles(*SMALL, "--target", "android").values()) == {"int8 kernels have no sparse path"}
    found = obstacles(*SMALL, "--target", "android", "--precision", "fp32")
    assert found["features.2.conv.2"] == ""
    assert found["features.0.0"] == "no sparse kernels but for 1×1 convolutions of stride 1"
    assert found["classifier.1"] == "no sparse kernels for linear"


def test_too_few_zeros_gain_nothing() -> None:
    flags = (*SMALL, "--target", "android", "--precision", "fp32", "--pattern")
    assert obstacles(*flags, "unstructured@80%")["features.2.conv.2"] == ""
    assert "no kernels for unstructured@50%" in obstacles(*flags, "unstructured@50%")["features.2.conv.2"]


def test_a_machine_without_sparse_kernels_says_why() -> None:
    found = obstacles(*SMALL, "--target", "host", "--pattern", "2:4")
    assert set(found.values()) == {"ONNX Runtime's CPU kernels have no sparse path"}


def test_a_target_without_rates_gives_no_times() -> None:
    jetson = load_target("jetson").model_dump()
    gone = {
        "int8_dense_tops": None,
        "int8_sparse_tops": None,
        "bandwidth_gb_s": None,
        "fp16_dense_tflops": None,
    }
    goal = Target.model_validate(jetson | gone)
    found = prospects(
        model_of(lambda: nn.Sequential(nn.Conv2d(3, 16, 3), nn.Conv2d(16, 32, 1))), goal, "2:4", "int8"
    )
    assert [(each.dense_ms, each.sparse_ms) for each in found.layers] == [(None, None)] * 2
    assert (
        found.sentence
        == "2:4 in int8: 1 of 2 layers can gain speed; not: 1 × 3 input channels are no multiple of 4"
    )


def test_what_a_file_holds(tmp_path: Path) -> None:
    model = model_of(
        lambda: nn.Sequential(
            nn.Conv2d(3, 16, 3), nn.Conv2d(16, 32, 3), nn.Flatten(), nn.Linear(32 * 28 * 28, 12)
        )
    )
    project(model.module, {"1": "2:4", "3": "block-4x4@50%"})
    export(model, load_target("host"), tmp_path / "file", np.zeros(model.input_shape, dtype=np.float32))
    held = {each["layer"]: each for each in document(str(tmp_path / "file"))["layers"]}
    assert held["0"]["density"] == pytest.approx(1, abs=0.01)
    assert held["0"]["patterns"] == []
    assert (held["1"]["density"], held["1"]["patterns"]) == (0.5, ["2:4", "4:8"])
    assert held["3"]["patterns"] == ["block-4x1@25%", "block-4x4@25%"]
    asked = document(str(tmp_path / "file"), "--pattern", "block-4x4@50%")["layers"]
    assert [each["layer"] for each in asked if each["patterns"]] == ["3"]
    assert "2:4, 4:8" in run(str(tmp_path / "file")).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mobilenetv2",), "give --target"),
        ((*SMALL, "--target", "host"), "ONNX Runtime's CPU kernels have no sparse path"),
        ((*SMALL, "--target", "jetson", "--pattern", "2:x"), "there are N:M"),
        ((*SMALL, "--target", "jetson", "--pattern", "4:4"), "0 < N < M"),
        ((*SMALL, "--target", "jetson", "--precision", "int4"), "it has: int8, fp16, fp32"),
        ((*SMALL, "--target", "jetsn"), "jetson"),
        (("mobilenet2", "--target", "jetson"), "mobilenetv2"),
        ((".",), "no artifact"),
    ],
)
def test_bad_input(
    arguments: tuple[str, ...], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert said in result.stderr
