"""`edgekit compress` around the library: the plan first, the result once, the budget in the exit code."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from typer.testing import CliRunner, Result

from edgekit import pipeline
from edgekit.cli.app import app
from edgekit.progress import Progress
from edgekit.report import Report

COMMAND = ("compress", "mobilenetv2", "--target", "jetson")
MISSED = "2,000 MACs (0.60 of the baseline), budget 1,000"


def run(report: Report, monkeypatch: pytest.MonkeyPatch, *arguments: str) -> Result:
    """The command with a library that says a line, takes one step and gives `report`."""

    def compress(job: SimpleNamespace, progress: Progress) -> pipeline.Run:
        progress.say(f"{job.request.model} for it")
        with progress.task("train", 1) as advance:
            advance()
        return pipeline.Run(report, Path("runs/x"))

    monkeypatch.setattr(pipeline, "resolve", lambda request, progress: SimpleNamespace(request=request))
    monkeypatch.setattr(pipeline, "compress", compress)
    return CliRunner().invoke(app, [*COMMAND, *arguments])


def test_the_plan_and_the_progress_go_to_standard_error(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = run(report, monkeypatch)
    assert result.exit_code == 0
    assert result.stderr.splitlines()[:2] == ["mobilenetv2 for it", "train ..."]
    assert "runs/x/report.html" in result.stdout
    assert "Within budget" in result.stdout


def test_json_is_the_report(report: Report, monkeypatch: pytest.MonkeyPatch) -> None:
    result = run(report, monkeypatch, "--json")
    assert result.exit_code == 0
    assert json.loads(result.stdout) == report.model_dump(mode="json")


def test_a_missed_budget_exits_1_and_says_what_was_reached(
    report: Report, monkeypatch: pytest.MonkeyPatch
) -> None:
    missed = report.model_copy(update={"budget_failures": (MISSED,)})
    result = run(missed, monkeypatch)
    assert result.exit_code == 1
    assert MISSED in result.stdout
    document = run(missed, monkeypatch, "--json")
    assert document.exit_code == 1
    assert json.loads(document.stdout)["budget_failures"] == [MISSED]
