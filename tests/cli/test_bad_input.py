"""`edgekit compress` refuses what it cannot do: exit code 2, what is wrong, what to do, nothing written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from edgekit.cli.app import app

MISSPELT = """
id = "mine"
title = "mine"
[[stages]]
kind = "prune"
mac = 0.5
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing that a run writes by default lands in the checkout."""
    monkeypatch.chdir(tmp_path)


def compress(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["compress", *arguments])


def refused(*arguments: str) -> str:
    """What is said of a command line that must be refused, without and with `--json`."""
    result = compress(*arguments)
    assert result.exit_code == 2, result.output
    assert result.stdout == ""
    assert "Traceback" not in result.stderr
    assert json.loads(compress(*arguments, "--json").stdout)["error"]["exit_code"] == 2
    return result.stderr


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("mobilenet2", "-t", "jetson"), ("unknown model 'mobilenet2'", "mobilenetv2")),
        (("mobilenetv2", "-t", "jetsn"), ("unknown target 'jetsn'", "jetson")),
        (("mobilenetv2", "-t", "jetson", "-r", "prune-int"), ("unknown recipe 'prune-int'", "prune-int8")),
        (("mobilenetv2", "-t", "jetson", "--max-accuracy-drop", "-1"), ("--max-accuracy-drop", "-1")),
        (("mobilenetv2", "-t", "jetson", "--max-latency", "0"), ("--max-latency", "0")),
        (("mobilenetv2", "-t", "jetson", "--max-macs", "nan"), ("--max-macs", "nan")),
        (("mobilenetv2", "-t", "jetson", "--weights", "w.safetensors"), ("--weights", "--data")),
        (("mobilenetv2", "-t", "jetson", "--data", "nowhere"), ("nowhere",)),
        (("squeezenet1.0", "-t", "host", "--input-size", "20"), ("below 21×21", "--input-size 21")),
        (("mobilenetv2", "-t", "host", "--input-size", "1e3"), ("--input-size 1e3", "240x320")),
        (("mobilenetv2", "-t", "jetson", "-r", "tfmot-sparse"), ("TF-MOT", "takes onnx", "raspberry-pi-5")),
        (
            ("mobilenetv2", "-t", "coral", "-r", "tfmot-cluster"),
            ("ends in a float file", "coral", "quantize"),
        ),
        (("unext", "-t", "android", "-r", "tfmot-sparse"), ("trains classifiers", "segmentation")),
        (("nowhere.keras", "-t", "android"), ("nowhere.keras is missing",)),
    ],
)
def test_names_and_numbers(arguments: tuple[str, ...], said: tuple[str, ...]) -> None:
    error = refused(*arguments)
    assert all(part in error for part in said), error


def test_a_toolkit_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_TFMOT_PYTHON", "/nowhere/python")
    result = compress("mobilenetv2", "-t", "android", "-r", "tfmot-sparse")
    assert result.exit_code == 3, result.output
    assert "pip install 'edgekit[tfmot]'" in result.stderr
    assert not Path("runs").exists()


def test_a_recipe_with_a_misspelt_key(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    path.write_text(MISSPELT)
    error = refused("mobilenetv2", "-t", "jetson", "-r", str(path))
    assert f"{path} has 1 wrong entry" in error
    assert "stages.0.prune.mac: no such key; did you mean macs?" in error


def test_a_recipe_without_int8_for_a_target_of_integers_alone(tmp_path: Path) -> None:
    path = tmp_path / "float.toml"
    path.write_text('id = "float"\ntitle = "float"\n[[stages]]\nkind = "prune"\nmacs = 0.5\n')
    error = refused("mobilenetv2", "-t", "microcontroller", "-r", str(path))
    assert "the recipe float gives a float file, and microcontroller takes none" in error
    assert 'kind = "quantize"' in error


@pytest.mark.parametrize("pattern", ["2:0", "0:4", "4:4", "5:4", "2-4"])
def test_a_recipe_with_an_impossible_pattern(tmp_path: Path, pattern: str) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(f'id = "odd"\ntitle = "odd"\n[[stages]]\nkind = "sparsify"\npattern = "{pattern}"\n')
    error = refused("mobilenetv2", "-t", "jetson", "-r", str(path))
    assert f"{path} has" in error
    assert "stages.0.sparsify.pattern" in error


@pytest.mark.parametrize("name", ["run.json", "holiday.jpg"])
def test_an_output_folder_that_holds_something(tmp_path: Path, name: str) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / name).write_text("{}")
    assert str(tmp_path / "out") in refused(
        "mobilenetv2", "-t", "host", "-r", "latency-only", "-o", str(tmp_path / "out")
    )
    assert (tmp_path / "out" / name).read_text() == "{}"


@pytest.mark.parametrize("folder", ["file/out", "file"])
def test_an_output_folder_that_cannot_be_made(tmp_path: Path, folder: str) -> None:
    (tmp_path / "file").write_text("")
    error = refused("mobilenetv2", "-t", "host", "-r", "latency-only", "-o", str(tmp_path / folder))
    assert f"cannot write the output folder {tmp_path / folder}" in error


def test_an_output_folder_where_the_system_writes_nothing() -> None:
    assert "cannot write the output folder" in refused(
        "mobilenetv2", "-t", "host", "-r", "latency-only", "-o", "/proc/edgekit"
    )
