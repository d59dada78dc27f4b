"""What ends a case before its verdict: invalid measurements, another machine, the end of the time."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from gate_files import Noisy, artifact, is_candidate

from edgekit.devices import Answer, Array, Failure, Job
from edgekit.errors import MissingError
from edgekit.gate import gate
from edgekit.gate.case import Case, Limits, open_case
from edgekit.gate.holm import settle
from edgekit.measurement import DeviceState


@pytest.fixture
def case(tmp_path: Path) -> Case:
    base, candidate = artifact(tmp_path / "base"), artifact(tmp_path / "candidate")
    return open_case(base, candidate, max_regression=0.05, metric="p50", limits=Limits())


class Turning(Noisy):
    """A device whose answers become others after some calls."""

    def __init__(self, after: int, change: dict[str, Any] | Failure | Exception) -> None:
        super().__init__()
        self.after, self.change = after, change

    def call(self, job: Job, inputs: Array | None = None) -> Answer | Failure:
        answer = super().call(job, inputs)
        if self.calls <= self.after or not is_candidate(job):
            return answer
        if isinstance(self.change, Exception):
            raise self.change
        if isinstance(self.change, Failure):
            return self.change
        assert isinstance(answer, Answer)
        return Answer({**answer.values, **self.change}, answer.outputs)


@pytest.mark.parametrize(
    ("change", "code", "said"),
    [
        ({"samples_ns": [1_000_000, -5]}, 4, "clock"),
        ({"samples_ns": [1_000_000, 0]}, 4, "clock"),
        ({"samples_ns": []}, 4, "clock"),
        ({"version": "2.0"}, 4, "onnxruntime 2.0, and before it was 1.0"),
        (Failure("crash", "SIGSEGV killed onnxruntime"), 4, "SIGSEGV"),
        (Failure("missing", "onnxruntime"), 3, "is not installed"),
        (MissingError("noisy went away"), 3, "went away"),
    ],
)
def test_what_stops_a_case_is_its_exit_code_and_what_was_measured_is_kept(
    change: dict[str, Any] | Failure | Exception, code: int, said: str, case: Case
) -> None:
    found = gate([case], Turning(6, change))
    assert (found.verdict, found.stop_code) == ("stopped", code)
    assert said in found.cases[0].reason
    assert found.cases[0].pairs == 3


def test_sides_in_two_versions_of_a_runtime_are_no_comparison(case: Case) -> None:
    found = gate([case], Turning(0, {"version": "2.0"})).cases[0]
    assert (found.verdict, found.stop_code, found.pairs) == ("stopped", 4, 0)


def test_a_regression_that_was_found_stays_one_when_the_device_leaves_after_it(case: Case) -> None:
    class Leaving(Noisy):
        def wrong(self, job: Job) -> float:
            raise MissingError("noisy went away")

    assert gate([case], Leaving(1.2)).verdict == "fail"
    assert gate([case], Leaving()).verdict == "stopped"


def test_another_machine_that_answers_is_refused(case: Case) -> None:
    class Swapped(Noisy):
        def state(self) -> DeviceState:
            told = super().state().facts
            return DeviceState(facts={**told, "cpu": "script" if self.calls < 6 else "another"})

    found = gate([case], Swapped()).cases[0]
    assert (found.verdict, found.stop_code, found.pairs) == ("stopped", 4, 2)
    assert "cpu went from script to another" in found.reason


def timed_out_after(pairs: int) -> Callable[[], float]:
    """A clock that is past any deadline after its reading at a case's start and one before each of so many pairs."""
    ticks = iter([0.0] * (pairs + 1))
    return lambda: next(ticks, 1e9)


def test_when_the_time_is_up_only_declared_looks_are_judged(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.gate.run.time.monotonic", timed_out_after(12))
    found = gate([case], Noisy(1.05)).cases[0]
    assert (found.verdict, found.pairs, found.judged) == ("inconclusive", 12, 10)
    # Two late pairs that would turn the verdict: they belong to no look, Holm's included.
    late = {**found.log_ratios, "p50": (*found.log_ratios["p50"][:10], -1.0, -1.0)}
    (again,) = settle((found.model_copy(update={"log_ratios": late}),))
    assert again.slowdown == found.slowdown
