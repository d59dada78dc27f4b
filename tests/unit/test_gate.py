"""The gate against a device that answers from a script: verdicts, what is set aside, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from gate_files import Noisy, artifact
from junitparser import JUnitXml

from edgekit import files
from edgekit.errors import InputError
from edgekit.gate import GateResult, gate
from edgekit.gate.case import Case, Limits, open_case
from edgekit.gate.formats import bencher, github_benchmark, junit, markdown
from edgekit.gate.suite import open_suite


def opened(folder: Path, *, size: int = 100, max_regression: float = 0.05, name: str = "") -> Case:
    return open_case(
        artifact(folder / "base"),
        artifact(folder / "candidate", size=size),
        max_regression=max_regression,
        metric="p50",
        limits=Limits(),
        name=name,
    )


@pytest.mark.parametrize(("ratio", "verdict"), [(1.0, "pass"), (1.2, "fail"), (0.8, "pass")])
def test_verdicts(ratio: float, verdict: str, tmp_path: Path) -> None:
    found = gate([opened(tmp_path)], Noisy(ratio)).cases[0]
    assert found.verdict == verdict
    assert found.slowdown is not None
    assert found.slowdown.low < ratio - 1 < found.slowdown.high
    assert found.beside is not None
    assert found.pairs == 10


def test_at_the_threshold_it_measures_on_and_then_says_that_it_cannot_tell(tmp_path: Path) -> None:
    found = gate([opened(tmp_path)], Noisy(1.05)).cases[0]
    assert found.verdict == "inconclusive"
    assert found.pairs == found.plan.looks[-1]
    assert found.smallest_visible is not None
    assert found.smallest_visible > 0.05


def test_pairs_go_by_the_machine_s_state_never_by_their_value(tmp_path: Path) -> None:
    device = Noisy(busy=lambda call: call % 6 == 0)
    found = gate([opened(tmp_path)], device).cases[0]
    assert found.pairs == 10
    assert len(found.set_aside) >= 3
    assert "waited for a core" in found.set_aside[0]


def test_a_device_that_goes_away_leaves_what_was_measured(tmp_path: Path) -> None:
    device = Noisy()
    device.gone_after = 9
    found = gate([opened(tmp_path)], device)
    assert found.verdict == "stopped"
    assert found.cases[0].pairs == 4
    assert len(found.cases[0].log_ratios["p50"]) == 4
    assert "went away" in found.cases[0].reason


def test_a_larger_file_fails_however_fast_it_is(tmp_path: Path) -> None:
    found = gate([opened(tmp_path, size=200)], Noisy(0.7)).cases[0]
    assert found.verdict == "fail"
    assert [check.name for check in found.checks if not check.kept] == ["size_bytes"]


def test_cases_share_the_error_and_holm_gives_it_back(tmp_path: Path) -> None:
    cases = [opened(tmp_path / name, name=name) for name in ("one", "two", "three")]
    found = gate(cases, Noisy(1.2)).cases
    assert {case.verdict for case in found} == {"fail"}
    assert found[0].plan.cases == 3
    still_open = gate(cases, Noisy(1.05)).cases
    assert {case.verdict for case in still_open} == {"inconclusive"}


def test_another_model_is_refused_unless_forced(tmp_path: Path) -> None:
    base, candidate = artifact(tmp_path / "base", model="other"), artifact(tmp_path / "candidate")
    with pytest.raises(InputError, match="two models") as refused:
        open_case(base, candidate, max_regression=0.05, metric="p50", limits=Limits())
    assert "--force" in refused.value.hint
    open_case(base, candidate, max_regression=0.05, metric="p50", limits=Limits(), force=True)


def test_another_input_size_is_refused(tmp_path: Path) -> None:
    base, candidate = artifact(tmp_path / "base", side=8), artifact(tmp_path / "candidate")
    with pytest.raises(InputError, match="the inputs differ"):
        open_case(base, candidate, max_regression=0.05, metric="p50", limits=Limits())


def test_an_edited_file_is_refused(tmp_path: Path) -> None:
    base, candidate = artifact(tmp_path / "base"), artifact(tmp_path / "candidate")
    (base / "model.onnx").write_bytes(b"edited")
    with pytest.raises(InputError, match="was changed"):
        open_case(base, candidate, max_regression=0.05, metric="p50", limits=Limits())


def test_a_pointer_stands_for_an_artifact_and_pins_it(tmp_path: Path) -> None:
    base, candidate = artifact(tmp_path / "base"), artifact(tmp_path / "candidate")
    pointer = tmp_path / "baseline.json"
    pinned = {"model.onnx": files.sha256(base / "model.onnx")}
    pointer.write_text(json.dumps({"artifact": "base", "sha256": pinned}))
    found = open_case(pointer, candidate, max_regression=0.05, metric="p50", limits=Limits())
    assert found.base.folder == base
    pointer.write_text(json.dumps({"artifact": "base", "sha256": {"model.onnx": "0"}}))
    with pytest.raises(InputError, match=r"baseline\.json pins"):
        open_case(pointer, candidate, max_regression=0.05, metric="p50", limits=Limits())
    pointer.write_text("{}")
    with pytest.raises(InputError, match="points to no artifact"):
        open_case(pointer, candidate, max_regression=0.05, metric="p50", limits=Limits())


def test_a_suite_is_read_with_file_place_and_key(tmp_path: Path) -> None:
    artifact(tmp_path / "base")
    artifact(tmp_path / "candidate")
    suite = tmp_path / "suite.toml"
    suite.write_text('[[case]]\nname = "a"\nbase = "base"\ncandidate = "candidate"\nmax_regression = 0.1\n')
    (case,) = open_suite(suite, force=False)
    assert (case.name, case.max_regression) == ("a", 0.1)
    suite.write_text('[[case]]\nname = "a"\nbase = "base"\ncandidat = "candidate"\n')
    with pytest.raises(InputError, match="did you mean candidate"):
        open_suite(suite, force=False)


def results(folder: Path) -> GateResult:
    cases = [opened(folder / name, name=name) for name in ("quick|er", "slower <b>")]
    device = Noisy()
    quick, slow = gate(cases[:1], device), gate(cases[1:], Noisy(1.3))
    return quick.model_copy(update={"cases": (*quick.cases, *slow.cases), "verdict": "fail"})


def test_junit_has_a_case_for_each_comparison(tmp_path: Path) -> None:
    path = tmp_path / "out.xml"
    path.write_text(junit.text(results(tmp_path)))
    (suite,) = JUnitXml.fromfile(str(path))
    assert (suite.tests, suite.failures) == (2, 1)
    assert [case.name for case in suite] == ["quick|er", "slower <b>"]


def test_markdown_shows_the_interval_beside_the_threshold(tmp_path: Path) -> None:
    text = markdown.text(results(tmp_path))
    rows = [line for line in text.splitlines() if line.startswith("| ")]
    assert rows[1].startswith("| quick\\|er | pass |")
    chart = rows[2].split("`")[1]
    assert len(chart) == markdown.CHART_CELLS
    assert chart.index("·") > chart.rindex("|")  # slower than the threshold allows


def test_other_formats_hold_the_candidates_latency(tmp_path: Path) -> None:
    found = results(tmp_path)
    entries = json.loads(github_benchmark.text(found))
    assert [entry["unit"] for entry in entries] == ["ms", "ms"]
    assert entries[1]["value"] == pytest.approx(1.3, rel=0.1)
    latency = json.loads(bencher.text(found))["slower <b>"]["latency"]
    assert latency["lower_value"] < latency["value"] < latency["upper_value"]
    assert latency["value"] == pytest.approx(1.3e6, rel=0.1)


def test_the_result_is_one_json_document(tmp_path: Path) -> None:
    found = results(tmp_path)
    assert GateResult.model_validate_json(found.model_dump_json()) == found


def test_each_case_is_measured_on_its_own_device(tmp_path: Path) -> None:
    here, there = opened(tmp_path / "here"), opened(tmp_path / "there")
    found = gate([here, replace(there, device=Elsewhere(1.2))], Noisy())
    assert [(case.device, case.verdict) for case in found.cases] == [
        ("noisy", "pass"),
        ("elsewhere", "fail"),
    ]
    assert found.device == "noisy, elsewhere"


def test_a_device_that_leaves_stops_its_own_cases_alone(tmp_path: Path) -> None:
    device = Elsewhere()
    device.gone_after = 0
    here, there = opened(tmp_path / "here"), opened(tmp_path / "there")
    found = gate([replace(there, device=device), here], Noisy())
    assert [case.verdict for case in found.cases] == ["stopped", "pass"]
    assert found.stop_code == 3


class Elsewhere(Noisy):
    name = "elsewhere"
