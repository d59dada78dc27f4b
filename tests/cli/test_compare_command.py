"""`edgekit compare`: what it prints and writes, its exit codes, what it refuses."""

from __future__ import annotations

import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gate_files import Noisy, artifact
from typer.testing import CliRunner, Result

from edgekit import devices
from edgekit.cli.app import app
from edgekit.devices import Failure, Job
from edgekit.errors import InputError
from edgekit.gate import history
from edgekit.gate.case import Limits
from edgekit.gate.request import GateRequest


def run(*arguments: str | Path | int) -> Result:
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
        (["a", "b", "--max-regression", "5"], "would be 500%"),
        (["a", "b", "--max-size-growth", "much"], "--max-size-growth 'much' is no share"),
        (["a", "b", "--max-parity-loss", "inf"], "no finite number"),
        (["a", "b", "--metric", "p51"], "p51"),
        (["suite.toml"], "cannot read the suite file"),
    ],
)
def test_refusals(arguments: list[str], said: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert said in result.stderr


@pytest.fixture
def device(monkeypatch: pytest.MonkeyPatch) -> Noisy:
    found = Noisy()
    monkeypatch.setattr(devices, "open_device", lambda _: found)
    return found


def test_an_invalid_measurement_exits_4(
    sides: tuple[Path, Path], device: Noisy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device, "call", lambda *_: Failure("crash", "SIGSEGV killed onnxruntime"))
    result = run(*sides, "--json")
    assert result.exit_code == 4
    assert "SIGSEGV" in json.loads(result.stdout)["cases"][0]["reason"]


@pytest.mark.parametrize("option", ["--junit", "--markdown", "--history"])
def test_a_place_that_cannot_be_written_is_refused_before_anything_is_measured(
    option: str, sides: tuple[Path, Path], tmp_path: Path, device: Noisy
) -> None:
    assert run(*sides, option, tmp_path).exit_code == 2
    assert run(*sides, option, sides[0] / "model.onnx" / "x").exit_code == 2
    assert device.calls == 0


@pytest.mark.parametrize("content", [b"\xff\xfe", b"{}\n", b'{"time": "2026-01-01T00:00:00", "p50_ms": 0}\n'])
def test_a_bad_history_is_refused_before_anything_is_measured(
    content: bytes, sides: tuple[Path, Path], tmp_path: Path, device: Noisy
) -> None:
    path = tmp_path / "latency.jsonl"
    path.write_bytes(content)
    assert run(*sides, "--history", path).exit_code == 2
    assert path.read_bytes() == content
    assert device.calls == 0


def test_a_history_grows_by_a_line_and_reports_come_first(
    sides: tuple[Path, Path], tmp_path: Path, device: Noisy, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, page = tmp_path / "latency.jsonl", tmp_path / "page.md"
    assert run(*sides, "--history", path, "--markdown", page).exit_code == 0
    assert run(*sides, "--history", path).exit_code == 0
    assert len(path.read_text().splitlines()) == 2

    def full(*_: object) -> None:
        raise InputError("no space left")

    page.unlink()
    monkeypatch.setattr("edgekit.gate.history.append", full)
    assert run(*sides, "--history", path, "--markdown", page).exit_code == 2
    assert page.is_file()


def test_a_drift_in_the_history_is_told_and_changes_no_verdict(
    sides: tuple[Path, Path], tmp_path: Path, device: Noisy
) -> None:
    path = tmp_path / "latency.jsonl"
    run(*sides, "--history", path)
    (entry,) = history.read(path)
    random = np.random.default_rng(0)
    past = [
        entry.model_copy(update={"time": entry.time - timedelta(days=40 - day), "p50_ms": level})
        for day, level in enumerate(np.repeat([0.8, 1.01], 20) * np.exp(random.normal(0, 0.01, 40)))
    ]
    history.append(path, past)
    result = run(*sides, "--history", path)
    assert result.exit_code == 0
    assert "net (int8) drifted from 0.799 to 1.011 ms since " in result.stdout
    (drift,) = json.loads(run(*sides, "--history", path, "--json").stdout)["drifts"]
    assert drift["fingerprint"]["device"] == "noisy"


def test_an_injected_slowdown_never_reaches_a_history(
    sides: tuple[Path, Path], tmp_path: Path, device: Noisy
) -> None:
    result = run(*sides, "--inject-slowdown", "10%", "--history", tmp_path / "latency.jsonl")
    assert result.exit_code == 2
    assert "would take an injected slowdown for a real one" in result.stderr
    assert device.calls == 0
    assert run(*sides, "--inject-slowdown", "20%").exit_code == 1


def test_a_suite_takes_the_command_line_s_terms_where_it_has_none(tmp_path: Path, device: Noisy) -> None:
    artifact(tmp_path / "base")
    artifact(tmp_path / "candidate")
    suite = tmp_path / "suite.toml"
    case = '[[case]]\nname = "{}"\nbase = "base"\ncandidate = "candidate"\n'
    suite.write_text(case.format("bare") + case.format("own") + "max_regression = 0.3\n")
    result = run(suite, "--max-regression", "40%", "--metric", "p90", "--json")
    found = json.loads(result.stdout)["cases"]
    assert [(one["plan"]["threshold"], one["metric"]) for one in found] == [(0.4, "p90"), (0.3, "p90")]


@pytest.mark.parametrize(
    ("options", "code"),
    [([], 1), (["--max-size-growth", "150%"], 0), (["--max-size-growth", "0.5"], 1)],
)
def test_limits_beside_speed_can_be_set(options: list[str], code: int, tmp_path: Path, device: Noisy) -> None:
    sides = artifact(tmp_path / "base"), artifact(tmp_path / "candidate", size=220)
    assert run(*sides, *options).exit_code == code


def test_every_limit_reaches_the_gate(sides: tuple[Path, Path]) -> None:
    words = (
        "--max-memory-growth 20% --max-accuracy-drop 2 --max-parity-loss 3 --max-float-operators 4 "
        "--max-size-growth 1%"
    )
    seen: list[GateRequest] = []

    def noted(request: GateRequest, _: object) -> None:
        seen.append(request)
        raise InputError("seen")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("edgekit.gate.request.compare", noted)
        run(*sides, *words.split())
    assert seen[0].terms.limits == Limits(
        size=0.01, peak_memory=0.2, accuracy_points=2, parity_db=3, float_operators=4
    )


def test_the_self_test_says_what_the_gate_saw(sides: tuple[Path, Path], device: Noisy) -> None:
    result = run("--self-test", sides[0])
    assert result.exit_code == 0
    assert "it cleared the file of itself, and saw the slowdown" in result.stdout
    assert re.search(r"the smallest effect that it could see: \+[5-7]\.\d %", result.stdout)
    document = json.loads(run("--self-test", sides[0], "--inject-slowdown", "20%", "--json").stdout)
    assert document["slowed"]["cases"][0]["slowdown"]["estimate"] == pytest.approx(0.2, abs=0.01)


class Deaf(Noisy):
    """Where an injected slowdown does nothing."""

    def values(self, job: Job) -> dict[str, Any]:
        return super().values(replace(job, limits={}))


class Jumpy(Noisy):
    """Where the second of two files is always the slower one."""

    def values(self, job: Job) -> dict[str, Any]:
        found = super().values(job)
        late = 1.2 if "slowdown" in job.limits or self.calls % 4 in (2, 3) else 1.0
        return {**found, "samples_ns": [round(sample * late) for sample in found["samples_ns"]]}


@pytest.mark.parametrize(("device_", "said"), [(Deaf(), "missed"), (Jumpy(), "cried wolf")])
def test_a_gate_that_fails_its_own_test_exits_1(
    device_: Noisy, said: str, sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "open_device", lambda _: device_)
    result = run("--self-test", sides[0])
    assert result.exit_code == 1
    assert said in result.stdout


def test_a_self_test_without_a_quiet_moment_is_inconclusive(
    sides: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(devices, "open_device", lambda _: Noisy(busy=lambda _: True))
    result = run("--self-test", sides[0], "--max-time", 1)
    assert result.exit_code == 5
    assert "it never came to judge the slowdown: 0 pairs counted" in result.stdout


def test_the_self_test_refuses_what_makes_no_sense(
    sides: tuple[Path, Path], tmp_path: Path, device: Noisy
) -> None:
    for words in (
        ["--self-test", *sides],
        ["--self-test"],
        ["--self-test", sides[0], "--junit", tmp_path / "gate.xml"],
        ["--self-test", sides[0], "--history", tmp_path / "latency.jsonl"],
        ["--self-test", sides[0], "--inject-slowdown", "4%"],
    ):
        assert run(*words).exit_code == 2
    assert device.calls == 0
