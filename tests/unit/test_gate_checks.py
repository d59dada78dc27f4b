"""What is gated beside speed, and what is said where a side has no figure."""

from __future__ import annotations

from pathlib import Path

import pytest
from gate_files import Noisy, artifact, is_candidate

from edgekit.artifact import load_artifact
from edgekit.devices import Job
from edgekit.errors import InputError
from edgekit.gate import gate
from edgekit.gate.case import Limits, open_case
from edgekit.gate.formats.words import case_lines
from edgekit.gate.result import CaseResult
from edgekit.report import Report


class Rounding(Noisy):
    """The candidate's answers are off by a share; the base's are exact."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def wrong(self, job: Job) -> float:
        return self.share if is_candidate(job) else 0.0


def compared(folder: Path, device: Noisy, *, limits: Limits | None = None, known: bool = True) -> CaseResult:
    sides = artifact(folder / "base"), artifact(folder / "candidate", known=known)
    case = open_case(*sides, max_regression=0.05, metric="p50", limits=limits or Limits())
    return gate([case], device).cases[0]


@pytest.mark.parametrize(("share", "kept"), [(0.01, True), (0.1, False)])
def test_parity_is_measured_in_the_run(share: float, kept: bool, tmp_path: Path) -> None:
    found = compared(tmp_path, Rounding(share))
    (parity,) = [check for check in found.checks if check.name == "parity_db"]
    assert parity.base == 200
    assert parity.candidate == pytest.approx(40 if share == 0.01 else 20, abs=0.01)
    assert parity.kept is kept
    assert found.verdict == ("pass" if kept else "fail")


def test_a_loss_of_parity_can_be_allowed(tmp_path: Path) -> None:
    assert compared(tmp_path, Rounding(0.1), limits=Limits(parity_db=190)).verdict == "pass"


def test_figures_that_a_side_lacks_are_named(tmp_path: Path) -> None:
    found = compared(tmp_path, Noisy(), known=False)
    assert found.verdict == "pass"
    assert {check.name for check in found.checks} == {"size_bytes", "peak_rss_bytes", "float_operators"}
    lines = case_lines(found)
    assert "not compared: parity_db: the candidate has no known answers that were run here" in lines
    assert any(line.startswith("not compared: accuracy: neither side has accuracy on") for line in lines)


@pytest.mark.parametrize(
    ("accuracies", "data", "verdict"),
    [
        ((0.9, 0.895), ("a", "a"), "pass"),
        ((0.9, 0.88), ("a", "a"), "fail"),
        ((0.9, 0.88), ("a", "b"), "pass"),
    ],
)
def test_accuracies_are_compared_where_they_are_of_the_same_data(
    accuracies: tuple[float, float], data: tuple[str, str], verdict: str, tmp_path: Path, report: Report
) -> None:
    sides = []
    for name, accuracy, digest in zip(("base", "candidate"), accuracies, data, strict=True):
        run = tmp_path / f"run-of-{name}"
        shipped = load_artifact(artifact(run / f"{name}-artifact"))
        last = report.steps[-1].model_copy(update={"accuracy": accuracy})
        about = report.artifact.model_copy(update={"sha256": shipped.sha256})
        told = {"steps": (*report.steps[:-1], last), "artifact": about, "data": {"sha256": digest}}
        report.model_copy(update=told).write(run)
        sides.append(shipped.folder)
    case = open_case(*sides, max_regression=0.05, metric="p50", limits=Limits())
    found = gate([case], Noisy()).cases[0]
    assert found.verdict == verdict
    named = [line for line in found.not_compared if line.startswith("accuracy")]
    assert bool(named) == (data[0] != data[1])


def test_a_report_that_cannot_be_read_is_refused_before_anything_is_measured(tmp_path: Path) -> None:
    (tmp_path / "report.json").write_text("{}")
    sides = artifact(tmp_path / "base"), artifact(tmp_path / "candidate")
    with pytest.raises(InputError, match=r"report\.json"):
        open_case(*sides, max_regression=0.05, metric="p50", limits=Limits())
