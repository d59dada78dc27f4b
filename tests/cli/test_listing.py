"""`edgekit models|targets|recipes`: all of them, one of them, and names that are nearly right."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edgekit.cli.app import app

RECIPE = """
id = "mine"
title = "mine"
[[stages]]
kind = "prune"
mac = 0.5
"""


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def document(*arguments: str) -> Any:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    assert result.stderr == ""
    return json.loads(result.stdout)


def test_models_lists_what_others_rely_on() -> None:
    network = next(entry for entry in document("models") if entry["name"] == "mobilenetv2")
    assert network["input_shape"] == [1, 3, 224, 224]
    assert network["task"] == "classification"
    assert {"name", "family", "params", "macs", "input_shape", "task"} <= set(network)
    assert abs(network["macs"] / 300.8e6 - 1) < 0.01
    assert network.items() <= document("models", "mobilenetv2").items()


def test_targets_lists_what_others_rely_on() -> None:
    targets = {target["name"]: target for target in document("targets")}
    assert {"jetson-orin-nano", "intel-cpu", "raspberry-pi-5", "android", "host"} <= set(targets)
    assert targets["jetson-orin-nano"]["aliases"] == ["jetson"]
    assert all({"runtime", "format", "precisions", "recipe"} <= set(target) for target in targets.values())
    assert document("targets", "phone") == targets["android"]


def test_recipes_lists_what_others_rely_on() -> None:
    recipes = {recipe["name"]: recipe for recipe in document("recipes")}
    assert [stage["kind"] for stage in recipes["sparse-prune-int8"]["stages"]] == [
        "sparsify",
        "prune",
        "recover",
        "quantize",
    ]
    assert document("recipes", "latency-only") == recipes["latency-only"]


@pytest.mark.parametrize(
    ("command", "known"),
    [
        (("models",), "300.8 M"),
        (("models", "mobilenetv2"), "input_shape"),
        (("targets",), "tensorrt"),
        (("targets", "jetson"), "symmetric_activations"),
        (("recipes",), "prune → recover → quantize"),
        (("recipes", "prune-int8"), "accuracy_drop"),
    ],
)
def test_people_get_a_table(command: tuple[str, ...], known: str) -> None:
    result = run(*command)
    assert result.exit_code == 0
    assert known in result.stdout


@pytest.mark.parametrize(
    ("command", "name", "near"),
    [
        ("models", "mobilenet2", "mobilenetv2"),
        ("targets", "jetsn", "jetson"),
        ("recipes", "prune-int-8", "prune-int8"),
    ],
)
def test_an_unknown_name_is_refused_with_the_near_ones(command: str, name: str, near: str) -> None:
    result = run(command, name)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert repr(name) in result.stderr
    assert near in result.stderr
    error = json.loads(run(command, name, "--json").stdout)["error"]
    assert error["exit_code"] == 2
    assert repr(name) in error["what"]
    assert near in error["hint"]


def test_a_misspelt_key_is_named_with_its_file_and_place(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(RECIPE)
    result = run("recipes", str(path))
    assert result.exit_code == 2
    assert str(path) in result.stderr
    assert "stages.0.prune.mac: no such key; did you mean macs?" in result.stderr


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    result = run("targets", str(tmp_path / "none.toml"))
    assert result.exit_code == 2
    assert "none.toml: No such file" in result.stderr
