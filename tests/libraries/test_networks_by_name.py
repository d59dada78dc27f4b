"""`timm:NAME` and `torchvision:NAME` with the libraries themselves: profiled, pruned, and a whole run to its file."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from small_runs import recipe
from typer.testing import CliRunner

from edgekit.cli.app import app
from edgekit.report import load_report

pytestmark = pytest.mark.libraries
NAMES = {"timm:mobilenetv3_small_100": (56.5, 2.5), "torchvision:shufflenet_v2_x0_5": (40.5, 1.4)}
"""Millions of multiply-accumulates at 224×224 and of parameters."""


def run(*words: object) -> str:
    result = CliRunner().invoke(app, [str(word) for word in words])
    assert result.exit_code == 0, result.output
    return result.stdout


@pytest.mark.parametrize("name", NAMES)
def test_profiled_and_pruned(name: str, tmp_path: Path) -> None:
    macs, params = NAMES[name]
    found = json.loads(run("profile", name, "--json"))
    assert found["macs"] / 1e6 == pytest.approx(macs, abs=0.1)
    assert found["params"] / 1e6 == pytest.approx(params, abs=0.1)
    pruned = json.loads(run("prune", name, "--macs", 0.6, "--out", tmp_path / "pruned", "--json"))
    assert pruned["macs_after"] <= 0.6 * pruned["macs_before"]
    assert pruned["masked_difference"] < 1e-9
    assert pruned["rewritten"] == ""
    again = json.loads(run("profile", tmp_path / "pruned", "--json"))
    assert again["macs"] == pruned["macs_after"]


@pytest.mark.parametrize("name", NAMES)
def test_compressed(name: str, tmp_path: Path) -> None:
    words = (
        "--target",
        "host",
        "--recipe",
        recipe(tmp_path),
        "--input-size",
        "32",
        "--out",
        tmp_path / "run",
    )
    run("compress", name, *words)
    report = load_report(tmp_path / "run")
    assert {step.stage: step.kept for step in report.steps}["prune"]
    assert report.parity is not None
    assert report.parity.sqnr_db >= 25 or report.parity.first_divergence
