"""`edgekit models`: what it holds, chosen and sorted, and one network layer by layer."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from edgekit.cli.app import app
from edgekit.units import count_of


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["models", *arguments])


def listed(*arguments: str) -> list[dict[str, Any]]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_every_figure_of_a_network_is_listed() -> None:
    network = next(entry for entry in listed() if entry["name"] == "mobilenetv3-small")
    assert network == {
        "name": "mobilenetv3-small",
        "family": "MobileNetV3",
        "variant": "Small",
        "task": "classification",
        "params": 2_542_856,
        "macs": 56_510_400,
        "receptive_field": [639, 639],
        "input_shape": [1, 3, 224, 224],
        "least_input": 17,
        "input_multiple": 1,
        "num_classes": 1000,
        "scalable": True,
        "accuracy": 67.668,
        "accuracy_source": network["accuracy_source"],
    }
    table = run().stdout
    assert all(text in table for text in ("Small", "2.5 M", "56.5 M", "639×639", "67.668"))
    assert network["accuracy_source"] in table


@pytest.mark.parametrize("limit", ["150M", "0.15G", "150000000", "1.5e8"])
def test_limits_choose(limit: str) -> None:
    chosen = listed("--max-macs", limit, "--max-params", "2.5M")
    rest = [entry for entry in listed() if entry not in chosen]
    assert chosen
    assert all(entry["macs"] <= 150e6 and entry["params"] <= 2.5e6 for entry in chosen)
    assert all(entry["macs"] > 150e6 or entry["params"] > 2.5e6 for entry in rest)


def test_a_task_chooses() -> None:
    assert listed("--task", "classification") == [
        entry for entry in listed() if entry["task"] == "classification"
    ]
    assert "did you mean classification" in run("--task", "clasification").stderr


@pytest.mark.parametrize("key", ["name", "family", "params", "macs"])
def test_sorted(key: str) -> None:
    found = [entry[key] for entry in listed("--sort", key)]
    assert found == sorted(found)
    assert len(found) == len(listed())


def test_the_most_accurate_come_first_and_unknown_ones_last() -> None:
    found = [entry["accuracy"] for entry in listed("--sort", "accuracy")]
    known = [accuracy for accuracy in found if accuracy is not None]
    assert found == sorted(known, reverse=True) + [None] * (len(found) - len(known))


def test_one_network_is_shown_layer_by_layer() -> None:
    result = run("squeezenet1.1", "--json")
    document = json.loads(result.stdout)
    assert sum(layer["macs"] for layer in document["layers"]) == document["macs"] == 349_151_936
    assert "max_pool2d" in run("squeezenet1.1").stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--max-macs", "15x"), "--max-macs 15x is no count"),
        (("--max-params", "-1"), "--max-params -1 is no count"),
        (("--max-params", "nan"), "--max-params nan is no count"),
        (("--sort", "size"), "--sort"),
        (("shufflenet",), "shufflenetv"),
    ],
)
def test_bad_input(arguments: tuple[str, ...], said: str) -> None:
    result = run(*arguments)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert said in result.stderr


def test_the_list_needs_no_torch() -> None:
    code = (
        "import sys; from edgekit.cli.app import app\n"
        "try: app(['models', '--sort', 'macs'])\n"
        "except SystemExit as end: sys.exit(end.code or 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "mobilenetv2" in done.stdout


@pytest.mark.parametrize(
    ("text", "value"), [("300M", 3e8), ("2.5 m", 2.5e6), ("1G", 1e9), ("12k", 12e3), ("17", 17.0)]
)
def test_counts_are_read_as_they_are_written(text: str, value: float) -> None:
    assert count_of(text) == value
