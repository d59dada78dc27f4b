"""A job in a child of its own: what comes back when it goes well, and when the runtime does its worst."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from fake_runtime import LIMITS, by_turns, ended, inputs, job, pids

from edgekit.devices import Answer, Failure
from edgekit.devices.local import Local


def failed(folder: Path, body: str, *, timeout_s: float = 30) -> Failure:
    outcome = Local().call(job(folder, body, timeout_s=timeout_s), inputs())
    assert isinstance(outcome, Failure)
    return outcome


def test_latency_gives_positive_samples_with_warm_up_apart(tmp_path: Path) -> None:
    outcome = Local().call(job(tmp_path, "time.sleep(0.001)"), inputs())
    assert isinstance(outcome, Answer)
    values = outcome.values
    assert len(values["samples_ns"]) >= 20
    assert min(values["samples_ns"]) >= 1_000_000
    assert 1 <= len(values["warmup_ns"]) <= 10
    assert sum(values["warmup_ns"]) >= 9_000_000
    assert 0 < values["clock_ns"] < 1_000_000
    assert values["load_ns"] > 0
    assert values["version"] == "1.2.3"
    assert values["executed"]["threads"] == 3
    assert values["executed"]["options"] == {"key": "value"}


def test_two_processes_sample_by_turns(tmp_path: Path) -> None:
    """Both write their name at each call: A B, B A, A B, … gives two turns on end of each, and no other order."""
    mark = tmp_path / "order"
    bodies = [f"time.sleep(0.004); open({str(mark)!r}, 'a').write({name!r})" for name in "ab"]
    outcomes = by_turns(Local(), tmp_path, bodies, turns=6)
    for outcome in outcomes:
        assert isinstance(outcome, Answer)
        assert len(outcome.values["turns"]) == 6
        assert sum(outcome.values["turns"]) == len(outcome.values["samples_ns"])
        assert min(outcome.values["turns"]) >= 1
        assert outcome.values["cores"] == sorted(os.sched_getaffinity(0))[-3:]  # three threads
    runs = [(name, len([*calls])) for name, calls in groupby(mark.read_text())][-6:]
    assert [name for name, _ in runs] == ["b", "a", "b", "a", "b", "a"]
    assert all(calls >= 6 for _, calls in runs[:-1])


def test_a_crash_or_a_hang_ends_the_turns_of_both(tmp_path: Path) -> None:
    dying = (
        "self.calls = getattr(self, 'calls', 0) + 1; self.calls > 9 and os.kill(os.getpid(), signal.SIGSEGV)"
    )
    for place, (body, kind) in enumerate(((dying, "crash"), ("time.sleep(60)", "hang"))):
        (tmp_path / f"case{place}").mkdir()
        well, ill = by_turns(Local(), tmp_path / f"case{place}", ["pass", body], turns=1000, timeout_s=3)
        assert isinstance(well, Answer)
        assert isinstance(ill, Failure)
        assert ill.kind == kind


def test_what_a_runtime_prints_is_no_reply(tmp_path: Path) -> None:
    (outcome,) = by_turns(Local(), tmp_path, ["print('done', flush=True)"], turns=3)
    assert isinstance(outcome, Answer)
    assert len(outcome.values["turns"]) == 3


def test_peak_memory_is_the_childs_own(tmp_path: Path) -> None:
    mine = np.ones(80_000_000)  # 640 MB that a child must not count as its own
    outcome = Local().call(job(tmp_path), inputs())
    assert isinstance(outcome, Answer)
    assert 10**6 < outcome.values["peak_rss_bytes"] < mine.nbytes / 4


def test_sampling_stops_at_the_time_limit(tmp_path: Path) -> None:
    outcome = Local().call(job(tmp_path, "time.sleep(0.3)"), inputs())
    assert isinstance(outcome, Answer)
    assert 3 <= len(outcome.values["samples_ns"]) <= 4, "1 s of 0.3 s each, far fewer than the 20 wanted"


def test_predict_gives_outputs_in_order(tmp_path: Path) -> None:
    outcome = Local().call(job(tmp_path, mode="predict"), inputs(5))
    assert isinstance(outcome, Answer)
    assert outcome.outputs is not None
    np.testing.assert_array_equal(outcome.outputs, inputs(5) * 2)


def test_predict_fills_the_last_batch_up(tmp_path: Path) -> None:
    work = replace(job(tmp_path, "assert len(self.batch) == 2", mode="predict"), batch=2)
    outcome = Local().call(work, inputs(5))
    assert isinstance(outcome, Answer)
    assert outcome.outputs is not None
    np.testing.assert_array_equal(outcome.outputs, inputs(5) * 2)


def test_a_segmentation_fault_is_a_failure(tmp_path: Path) -> None:
    failure = failed(tmp_path, "os.kill(os.getpid(), signal.SIGSEGV)")
    assert failure.kind == "crash"
    assert failure.reason == "SIGSEGV killed fake_runtime while warming up"
    assert "Segmentation fault" in failure.log


def test_a_hang_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    body = f"open({str(mark)!r}, 'w').write(str(subprocess.Popen(['sleep', '60']).pid)); time.sleep(60)"
    start = time.monotonic()
    failure = failed(tmp_path, body, timeout_s=2)
    assert failure.kind == "hang"
    assert failure.reason == "no answer within 2 s from fake_runtime while warming up"
    assert time.monotonic() - start < 20
    assert ended(int(mark.read_text()))


@pytest.mark.parametrize("end", ["os._exit(3)", "os.kill(os.getpid(), signal.SIGKILL)"])
def test_a_runner_that_ends_alone_leaves_nothing_behind(tmp_path: Path, end: str) -> None:
    mark = tmp_path / "pid"
    started = f"open({str(mark)!r}, 'w').write(str(subprocess.Popen(['sleep', '60']).pid))"
    assert failed(tmp_path, f"{started}; {end}").kind in {"crash", "error"}
    assert ended(int(mark.read_text()))


def test_an_exception_is_told_in_the_runtimes_words(tmp_path: Path) -> None:
    failure = failed(tmp_path, "raise RuntimeError('no kernel for Conv\\n  node 7')")
    assert failure.kind == "error"
    assert failure.reason == "RuntimeError: no kernel for Conv\n  node 7 (in fake_runtime while warming up)"


@pytest.mark.parametrize("value", ["nan", "inf"])
def test_outputs_that_are_not_finite_are_a_failure(tmp_path: Path, value: str) -> None:
    failure = failed(tmp_path, f"self.output[0, 0] = float({value!r})")
    assert failure.kind == "error"
    assert "4 of 12 outputs are not finite" in failure.reason


def test_predicted_nan_is_a_failure(tmp_path: Path) -> None:
    outcome = Local().call(job(tmp_path, "self.output[:] = np.nan", mode="predict"), inputs(2))
    assert isinstance(outcome, Failure)
    assert "24 of 24 outputs are not finite" in outcome.reason


def test_a_missing_package_is_named(tmp_path: Path) -> None:
    failure = failed(tmp_path, "import a_package_that_nobody_has")
    assert failure == Failure("missing", "a_package_that_nobody_has", failure.log)


def test_a_silent_exit_is_a_failure(tmp_path: Path) -> None:
    failure = failed(tmp_path, "os._exit(0)")
    assert failure.kind == "error"
    assert failure.reason == "exit status 0 and no answer from fake_runtime while warming up"


def test_the_child_starts_clean(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("OMP_NUM_THREADS", "KMP_AFFINITY", "LD_PRELOAD", "ORT_ANYTHING", "PYTHONWARNINGS"):
        monkeypatch.setenv(name, "")
    outcome = Local().call(job(tmp_path, "print('noise')"), inputs())
    assert isinstance(outcome, Answer)
    environment = outcome.values["executed"]["environment"]
    kept = {
        "PATH",
        "HOME",
        "LANG",
        "LC_ALL",
        "LD_LIBRARY_PATH",
        "PYTHONPATH",
        "PYTHONHOME",
        "VIRTUAL_ENV",
        "XDG_CACHE_HOME",
        "TMPDIR",
    }
    assert environment.keys() <= kept | {"LC_CTYPE"}, "LC_CTYPE is Python's own (PEP 538)"
    assert not any("devices" in place for place in outcome.values["executed"]["path"]), (
        "runner's folder stays out"
    )
    assert not Path(environment["TMPDIR"]).exists(), "its folder goes with it"
    assert capfd.readouterr() == ("", "")


def test_ctrl_c_leaves_no_process(tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    hanging = job(tmp_path, f"open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    script = f"""
import numpy as np
from pathlib import Path
from edgekit.devices import Job
from edgekit.devices.local import Local
Local().call(Job("latency", Path({str(hanging.runtime)!r}), (), 1, {{}}, {LIMITS!r}, 60),
             np.zeros((1, 3, 2, 2), np.float32))
"""
    parent = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
    (runner,) = pids(mark)
    parent.send_signal(signal.SIGINT)
    assert parent.wait(20) != 0
    assert ended(runner)
