"""The latency protocol against a device that answers from a script."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import pytest

from edgekit.artifact import Artifact, ArtifactFolder, TensorSpec
from edgekit.bench import Candidate, Protocol, compare, float_candidates, measure, predict
from edgekit.bench.candidate import installed
from edgekit.devices import Answer, Array, Failure, Job
from edgekit.errors import InputError, MeasurementError, MissingError
from edgekit.measurement import DeviceState, Profile
from edgekit.model import Preprocessing

if TYPE_CHECKING:
    from pathlib import Path

EXECUTED = {"operators": {"Conv": 2}, "integer_operators": 0, "float_operators": 2, "float_precision": "f32"}
Script = Callable[[Job], Answer | Failure]


class Scripted:
    """Answers every job from `script`, and remembers what it was asked."""

    name = "scripted"

    def __init__(self, script: Script) -> None:
        self.script = script
        self.jobs: list[Job] = []
        self.inputs: list[Array] = []

    def call(self, job: Job, inputs: Array | None = None) -> Answer | Failure:
        self.jobs.append(job)
        if inputs is not None:
            self.inputs.append(inputs)
        return self.script(job)

    def call_together(
        self, jobs: Sequence[Job], inputs: Sequence[Array], turns: int
    ) -> list[Answer | Failure]:
        return [self.call(job, images) for job, images in zip(jobs, inputs, strict=True)]

    def state(self) -> DeviceState:
        return DeviceState(facts={"calls": str(len(self.jobs))})

    @property
    def order(self) -> list[str]:
        return [job.model_files[0].stem for job in self.jobs]


def timed(*samples_ns: int, clock_ns: int = 1) -> Script:
    values = {"samples_ns": list(samples_ns), "clock_ns": clock_ns, "warmup_ns": [9, 8], "load_ns": 7}
    values |= {"cores": [], "peak_rss_bytes": 5_000_000}
    return lambda job: Answer({**values, "version": "1.0", "executed": EXECUTED})


def artifact(folder: Path, name: str = "model.onnx", layout: str = "NCHW") -> ArtifactFolder:
    (folder / name).touch()
    shape = (1, 3, 4, 5) if layout == "NCHW" else (1, 4, 5, 3)
    return Artifact(
        model="net",
        task="classification",
        format="onnx",
        precision="fp32",
        model_file=name,
        sha256={name: ""},
        inputs=(TensorSpec(name="x", shape=shape, dtype="float32", layout=layout),),
        outputs=(TensorSpec(name="y", shape=(1, 2), dtype="float32", layout="NC"),),
        preprocessing=Preprocessing(height=4, width=5, mean=(0, 0, 0), std=(1, 1, 1)),
        labels=("a", "b"),
    ).at(folder)


def candidates(folder: Path, *names: str) -> list[Candidate]:
    return [Candidate(name, artifact(folder, f"{name}.onnx"), "onnxruntime") for name in names]


def test_blocks_alternate_and_each_is_a_run_of_its_own(tmp_path: Path) -> None:
    device = Scripted(timed(100, 200))
    outcomes = compare(candidates(tmp_path, "a", "b", "c"), device, threads=2, protocol=Protocol(blocks=3))
    assert device.order == ["a", "b", "c", "c", "b", "a", "a", "b", "c"]
    profile = outcomes["b"]
    assert isinstance(profile, Profile)
    assert profile.blocks_ns == ((100, 200),) * 3
    assert profile.warmup_ns == ((9, 8),) * 3
    assert profile.first_ns == (9, 9, 9)
    assert profile.peak_rss_bytes == (5_000_000,) * 3
    assert profile.load_ns == (7, 7, 7)
    assert (profile.threads, profile.runtime_version, profile.device) == (2, "1.0", "scripted")
    assert (profile.before.facts["calls"], profile.after.facts["calls"]) == ("0", "9")


class Warming(Scripted):
    """Throttles once more during each of its first jobs."""

    def __init__(self, hot_jobs: int) -> None:
        super().__init__(timed(100, 200))
        self.hot_jobs = hot_jobs

    def state(self) -> DeviceState:
        return DeviceState(facts={"throttle_events": str(min(len(self.jobs), self.hot_jobs))})


def test_a_throttle_makes_a_measurement_invalid(tmp_path: Path) -> None:
    """Tried again once; a proxy, which decides nothing, is not."""
    (candidate,), protocol = candidates(tmp_path, "a"), Protocol(blocks=2)
    passing = Warming(hot_jobs=1)
    profile = measure(candidate, passing, threads=1, protocol=protocol)
    assert len(passing.jobs) == 4
    states = (profile.before, *profile.between, profile.after)
    assert [state.facts["throttle_events"] for state in states] == ["1", "1", "1"]
    with pytest.raises(
        MeasurementError, match=r"scripted did not stay .*throttle_events went from 2 to 3"
    ) as invalid:
        measure(candidate, Warming(hot_jobs=99), threads=1, protocol=protocol)
    assert invalid.value.exit_code == 4
    proxy = Warming(hot_jobs=99)
    measure(candidate, proxy, threads=1, protocol=protocol, source="proxy")
    assert len(proxy.jobs) == 2


def test_what_brings_a_package_is_said_for_the_machine_that_lacks_it(tmp_path: Path) -> None:
    candidate = candidates(tmp_path, "a")[0]
    for install, hint in (
        ("", "pip install 'edgekit[onnx]'"),
        ("on ssh://pi: python3 -m pip install", "on ssh://pi: python3 -m pip install onnxruntime"),
    ):
        failure = Failure("missing", "onnxruntime", install=install)
        with pytest.raises(MissingError) as missing:
            measure(candidate, Scripted(lambda _, failure=failure: failure), threads=1)  # type: ignore[misc]
        assert missing.value.hint == hint


def test_only_the_first_block_brings_files_back(tmp_path: Path) -> None:
    device = Scripted(timed(1_000_000))
    both, protocol = candidates(tmp_path, "a", "b"), Protocol(blocks=3)
    compare(both, device, threads=1, protocol=protocol, keep=tmp_path / "kept")
    assert [job.keep for job in device.jobs] == [True, True, False, False, False, False]
    compare(both, device, threads=1, protocol=protocol)
    assert not any(job.keep for job in device.jobs[6:])


def test_one_that_fails_is_asked_once_and_leaves_the_others_alone(tmp_path: Path) -> None:
    crash = Failure("crash", "SIGSEGV killed it")

    def script(job: Job) -> Answer | Failure:
        return crash if job.model_files[0].stem == "a" else timed(100, 200)(job)

    device = Scripted(script)
    outcomes = compare(candidates(tmp_path, "a", "b"), device, threads=1, protocol=Protocol(blocks=3))
    assert outcomes["a"] == crash
    assert isinstance(outcomes["b"], Profile)
    assert device.order == ["a", "b", "b", "b"]
    with pytest.raises(MeasurementError, match="a: SIGSEGV killed it"):
        measure(candidates(tmp_path, "a")[0], device, threads=1)


def test_percentiles_are_those_of_all_samples(tmp_path: Path) -> None:
    """1 … 100 ms: ranks 0.5, 0.9, 0.99 of 99 steps lie at 50.5, 90.1, 99.01 by linear interpolation."""
    samples = [value * 1_000_000 for value in range(100, 0, -1)]
    candidate, protocol = candidates(tmp_path, "a")[0], Protocol(blocks=1)
    device = Scripted(timed(*samples))
    profile = measure(candidate, device, threads=1, protocol=protocol)
    assert profile.p50_ms == pytest.approx(50.5)
    assert profile.p90_ms == pytest.approx(90.1)
    assert profile.p99_ms == pytest.approx(99.01)
    assert profile.where == "measured:scripted"
    proxy = measure(candidate, device, threads=1, protocol=protocol, source="proxy")
    assert proxy.where == "proxy:onnxruntime on scripted"


@pytest.mark.parametrize(
    ("script", "said"),
    [
        (timed(), "did not move"),
        (timed(0, 0), "did not move"),
        (timed(100, -1), "went backwards"),
        (timed(100, clock_ns=0), "is too coarse"),
        (timed(100, clock_ns=6), "is too coarse"),
    ],
)
def test_samples_that_the_clock_cannot_resolve_are_no_measurement(
    tmp_path: Path, script: Script, said: str
) -> None:
    with pytest.raises(MeasurementError, match=f"the clock {said}"):
        measure(candidates(tmp_path, "a")[0], Scripted(script), threads=1)


@pytest.mark.parametrize(
    ("install", "hint"), [("", "pip install numpy"), ("on pi: pip install", "on pi: pip install numpy")]
)
def test_the_runner_s_own_numpy_is_not_the_runtime_s(install: str, hint: str) -> None:
    with pytest.raises(MissingError) as missing:
        installed(Failure("missing", "numpy", install=install), "tensorrt")
    assert missing.value.hint == hint


def test_a_missing_package_is_an_error_with_its_pip_line(tmp_path: Path) -> None:
    device = Scripted(lambda job: Failure("missing", "openvino"))
    candidate = Candidate("a", artifact(tmp_path), "openvino")
    with pytest.raises(MissingError, match="openvino is not installed") as refusal:
        compare([candidate], device, threads=1)
    assert refusal.value.hint == "pip install 'edgekit[openvino]'"
    with pytest.raises(MissingError):
        predict(candidate.artifact, "openvino", np.zeros((1, 3, 4, 5), np.float32), device)
    with pytest.raises(MissingError):
        float_candidates(candidate.artifact, "openvino", device)


def test_what_does_not_fit_is_refused_before_anything_runs(tmp_path: Path) -> None:
    device = Scripted(timed(100))
    good = candidates(tmp_path, "a")[0]
    for wrong, message in (
        ([good, good], "share a name"),
        ([Candidate("b", good.artifact, "onnxruntimes")], "unknown runtime"),
        ([Candidate("b", good.artifact, "litert")], "does not open a.onnx"),
        ([Candidate("b", good.artifact, "openvino", {"precison": "f32"})], "no option precison"),
    ):
        with pytest.raises(InputError, match=message):
            compare(wrong, device, threads=1)
    with pytest.raises(InputError, match="impossible protocol"):
        Protocol(min_seconds=2, max_seconds=1)
    assert device.jobs == []


def test_the_layout_goes_to_the_runtime_that_asks_for_it(tmp_path: Path) -> None:
    device = Scripted(timed(100))
    tflite = Candidate("t", artifact(tmp_path, "t.tflite", "NHWC"), "litert")
    onnx = Candidate("o", artifact(tmp_path), "openvino", {"precision": "bf16"})
    compare([tflite, onnx], device, threads=4, protocol=Protocol(blocks=1))
    assert [job.options for job in device.jobs] == [
        {"layout": "NHWC", "output_layout": "NC"},
        {"precision": "bf16"},
    ]
    assert [batch.shape for batch in device.inputs] == [(1, 3, 4, 5), (1, 3, 4, 5)]
    assert {job.threads for job in device.jobs} == {4}


def test_the_first_known_input_is_measured(tmp_path: Path) -> None:
    known = np.arange(120, dtype=np.float32).reshape(2, 3, 4, 5)
    np.savez(tmp_path / "parity.npz", inputs=known, outputs=np.zeros((2, 2), np.float32))
    device = Scripted(timed(100))
    measure(candidates(tmp_path, "a")[0], device, threads=1)
    np.testing.assert_array_equal(device.inputs[0], known[:1])


def test_every_float_precision_of_a_runtime_is_a_candidate(tmp_path: Path) -> None:
    device = Scripted(
        lambda job: Answer({"precisions": ["f32", "bf16"] if "openvino" in job.runtime.name else ["f32"]})
    )
    found = float_candidates(artifact(tmp_path), "openvino", device)
    assert [(one.name, one.options) for one in found] == [
        ("f32", {"precision": "f32"}),
        ("bf16", {"precision": "bf16"}),
    ]
    assert [
        (one.name, one.options) for one in float_candidates(artifact(tmp_path), "onnxruntime", device)
    ] == [("f32", {})]


def test_predictions_are_chunked_and_stay_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edgekit.bench.prediction.CHUNK_BYTES", 2 * 60 * 4 + 1)
    inputs = np.random.default_rng(0).standard_normal((5, 3, 4, 5)).astype(np.float32)
    device = Scripted(lambda job: Answer({}, device.inputs[-1].sum(axis=(2, 3))))
    outputs = predict(artifact(tmp_path), "onnxruntime", inputs, device)
    assert [len(chunk) for chunk in device.inputs] == [2, 2, 1]
    np.testing.assert_array_equal(outputs, inputs.sum(axis=(2, 3)))


def test_predictions_that_do_not_come_are_an_error(tmp_path: Path) -> None:
    inputs = np.zeros((2, 3, 4, 5), np.float32)
    too_few = Answer({}, np.zeros((1, 2), np.float32))
    for script in (lambda job: Answer({}), lambda job: too_few, lambda job: Failure("hang", "no answer")):
        with pytest.raises(MeasurementError):
            predict(artifact(tmp_path), "onnxruntime", inputs, Scripted(script))
    with pytest.raises(InputError, match="no inputs"):
        predict(artifact(tmp_path), "onnxruntime", inputs[:0], Scripted(timed(1)))


def test_nothing_here_imports_torch_or_a_runtime() -> None:
    script = (
        "import sys, edgekit.bench, edgekit.doctor, edgekit.devices as d, edgekit.runtimes as r\n"
        "d.open_device('local'); r.runtimes()\n"
        "print({'torch', 'onnxruntime', 'openvino', 'ai_edge_litert', 'onnx'} & set(sys.modules))"
    )
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "set()"
