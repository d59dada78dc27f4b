"""`edgekit compare`: what it prints and writes, its exit codes, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from gate_files import Noisy, artifact
from typer.testing import CliRunner, Result

from edgekit import devices
from edgekit.cli.app import app


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, ["compare", *map(str, arguments)])


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Path, Path]:
    return artifact(tmp_path / "base"), artifact(tmp_path / "candidate")


@pytest.mark.parametrize(
    ("ratio", "verdict", "code"), [(1.0, "pass", 0), (1.2, "fail", 1), (1.05, "inconclusive", 5)]
)
def test_verdicts_are_exit_codes(
    ratio: float, verdict: str, code: int, sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "open_device", lambda _: Noisy(ratio))
    result = run(*sides, "--json")
    assert result.exit_code == code
    assert json.loads(result.stdout)["verdict"] == verdict
    assert run(*sides, "--inconclusive", "pass").exit_code == (code if code == 1 else 0)


def test_a_device_that_went_away_exits_3_with_what_was_measured(
    sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    device = Noisy()
    device.gone_after = 5
    monkeypatch.setattr(devices, "open_device", lambda _: device)
    result = run(*sides, "--json")
    assert result.exit_code == 3
    assert json.loads(result.stdout)["cases"][0]["pairs"] == 2


def test_every_format_is_written(
    sides: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "open_device", lambda _: Noisy())
    wanted = {"--junit": "j.xml", "--markdown": "m.md", "--github-benchmark": "g.json", "--bencher": "b.json"}
    options = [word for option, name in wanted.items() for word in (option, str(tmp_path / name))]
    result = run(*sides, *options)
    assert result.exit_code == 0
    assert "p50: 1.0" in result.stdout
    assert "would have failed" in result.stdout
    assert all((tmp_path / name).stat().st_size > 50 for name in wanted.values())


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere", "nowhere"], "nowhere does not exist"),
        (["one"], "two files are compared"),
        (["a", "b", "--max-regression", "five"], "is no share"),
        (["a", "b", "--max-regression", "0%"], "not between"),
        (["a", "b", "--metric", "p51"], "p51"),
        (["suite.toml"], "cannot read the suite file"),
    ],
)
def test_refusals(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr
