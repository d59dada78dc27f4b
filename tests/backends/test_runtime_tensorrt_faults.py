"""What goes wrong in TensorRT's runtime, with a stand-in for trtexec that was told to fail: it is told clearly."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
import trtexec_stand_in as stand_in

from edgekit import doctor, runtimes
from edgekit.artifact import ArtifactFolder
from edgekit.bench import Candidate, Failure, Protocol, compare, measure, predict
from edgekit.bench.candidate import job
from edgekit.devices import Job
from edgekit.devices.local import Local
from edgekit.errors import MeasurementError, MissingError
from edgekit.measurement import Profile

DEVICE = Local()
ONCE = Protocol(blocks=1, warmup_seconds=0.01, min_seconds=0.02, min_samples=20)

Install = Callable[..., Path]


def candidate(artifact: ArtifactFolder, name: str = "int8") -> Candidate:
    return Candidate(name, artifact, "tensorrt")


def failed(artifact: ArtifactFolder, *, timeout_s: float = 60) -> Failure:
    protocol = replace(ONCE, timeout_s=timeout_s)
    outcome = compare([candidate(artifact)], DEVICE, threads=1, protocol=protocol)["int8"]
    assert isinstance(outcome, Failure)
    return outcome


def test_an_engine_that_does_not_fit_is_told(install: Install, int8: ArtifactFolder, tmp_path: Path) -> None:
    install()
    measure(candidate(int8), DEVICE, threads=1, protocol=ONCE)
    (engine,) = (tmp_path / "home/.cache/edgekit/tensorrt").glob("*.engine")
    engine.write_bytes(stand_in.MAGIC + b"9.0.0\n")
    reason = failed(int8).reason
    assert "while running the engine" in reason
    assert "Engine deserialization failed" in reason


def test_it_cannot_be_slowed_down_for_a_self_test(install: Install, int8: ArtifactFolder) -> None:
    install()
    limits = ONCE.limits | {"slowdown": 0.1}
    work = job("latency", candidate(int8), threads=1, timeout_s=60, limits=limits)
    outcome = DEVICE.call(work, int8.parity()[0][:1])
    assert isinstance(outcome, Failure)
    assert "cannot be slowed down" in outcome.reason


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("no memory", ["while building the engine: [TRT] Error Code 2: OutOfMemory", "Engine set up failed"]),
        ("unsupported", ["No importer registered for op: Mystery; Failed to parse onnx file"]),
        ("killed", ["while building the engine: SIGKILL ended it (often: out of memory)"]),
        ("crash", ["trtexec failed while running the engine: SIGSEGV ended it"]),
        ("nan", ["10 of 10 outputs are not finite numbers"]),
    ],
)
def test_each_fault_is_told_and_costs_one_side_only(
    install: Install, int8: ArtifactFolder, fault: str, told: Sequence[str]
) -> None:
    install(fault=fault, only="model")
    half = int8.rival("fp16")
    assert half is not None
    sides = [candidate(int8), candidate(half, "f16")]
    found = compare(sides, DEVICE, threads=1, protocol=ONCE)
    failure = found["int8"]
    assert isinstance(failure, Failure)
    assert failure.kind == "error"
    for words in told:
        assert words in failure.reason
    assert isinstance(found["f16"], Profile)


def test_a_hang_is_ended(install: Install, int8: ArtifactFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    install(fault="hang")
    monkeypatch.setattr(runtimes, "find", lambda name: replace(runtimes.runtimes()[name], open_seconds=0))
    failure = failed(int8, timeout_s=8)
    assert failure.kind == "hang"
    assert failure.reason.startswith("no answer within 8 s from tensorrt_trtexec while ")


def test_a_file_that_breaks_the_rules_is_refused_in_the_tools_words(
    install: Install, int8: ArtifactFolder, tmp_path: Path
) -> None:
    install()
    model = onnx.load(str(int8.model_path))
    for tensor in model.graph.initializer:
        if tensor.name.endswith("_zero_point") and not tensor.dims:
            tensor.CopyFrom(onnx.numpy_helper.from_array(np.array(3, np.int8), tensor.name))
    path = tmp_path / "model.onnx"
    onnx.save(model, str(path))
    outcome = DEVICE.call(
        Job(
            "latency", runtimes.find("tensorrt").file, (path,), options={"input": "input"}, limits=ONCE.limits
        ),
        int8.parity()[0][:1],
    )
    assert isinstance(outcome, Failure)
    assert "zero point is 3, not 0" in outcome.reason


def test_an_engine_whose_layers_have_names_alone_tells_nothing(
    install: Install, int8: ArtifactFolder
) -> None:
    install(fault="names")
    executed = measure(candidate(int8), DEVICE, threads=1, protocol=ONCE).executed
    assert (executed.integer_operators, executed.float_operators) == (0, 0)
    assert executed.float_precision == "unknown"
    assert executed.details["counted"] == "unknown"


def test_a_graph_that_was_refused_is_told(install: Install, int8: ArtifactFolder) -> None:
    install(fault="no graph")
    executed = measure(candidate(int8), DEVICE, threads=1, protocol=ONCE).executed
    assert executed.details["cuda_graph"] == "refused by the engine"


def test_too_old_a_tensorrt_is_refused_before_it_builds(install: Install, int8: ArtifactFolder) -> None:
    tools = install("8.5.2")
    assert "is of TensorRT v8502; 10 or newer is needed (JetPack 6)" in failed(int8).reason
    assert stand_in.calls(tools) == []


def test_without_trtexec_it_says_what_brings_it(
    monkeypatch: pytest.MonkeyPatch, int8: ArtifactFolder
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    with pytest.raises(MissingError, match="trtexec is not installed, and tensorrt needs it") as refusal:
        measure(candidate(int8), DEVICE, threads=1)
    assert "apt-get install tensorrt" in refusal.value.hint


def diagnosed() -> doctor.Check:
    runtime = runtimes.find("tensorrt")
    return doctor._runtime(runtime, doctor._asked(runtime, DEVICE))


@pytest.mark.parametrize("version", stand_in.FLAGS)
def test_the_doctor_runs_the_tiny_model(install: Install, version: str) -> None:
    install(version)
    check = diagnosed()
    assert check.ok, check
    assert check.detail == f"{version}, runs f32 and f16"


def test_the_doctor_is_calm_where_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    check = diagnosed()
    assert check.detail == "trtexec is not installed"
    assert "pip" not in check.mend
    assert "apt-get install tensorrt" in check.mend


def test_a_broken_tool_is_not_mended_by_pip(install: Install) -> None:
    install(fault="crash")
    check = diagnosed()
    assert "SIGSEGV ended it" in check.detail
    assert "pip" not in check.mend


def test_predicting_names_what_the_tool_refused(install: Install, int8: ArtifactFolder) -> None:
    install()
    with pytest.raises(MeasurementError, match="Cannot find input tensor with name wrong"):
        predict(int8, "tensorrt", int8.parity()[0][:1], DEVICE, options={"input": "wrong"})
