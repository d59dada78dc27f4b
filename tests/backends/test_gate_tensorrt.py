"""The gate in the runtime that files are for: engines where trtexec is; what it says and refuses where it is not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from gate_files import Noisy
from typer.testing import CliRunner

from edgekit.artifact import ArtifactFolder
from edgekit.cli.app import app
from edgekit.devices import Answer, Array, Failure, Job
from edgekit.devices.local import Local
from edgekit.errors import InputError, MissingError
from edgekit.gate import gate, runtime
from edgekit.gate.case import Case, Limits, open_case
from edgekit.gate.runtime import in_runtime
from edgekit.measurement import DeviceState

Install = Callable[..., Path]


class Board(Noisy):
    """A device over there, without trtexec."""

    def call(self, job: Job, inputs: Array | None = None) -> Answer | Failure:
        if job.mode == "probe":
            return Failure("missing", "trtexec")
        return super().call(job, inputs)


def case_of(artifact: ArtifactFolder, named: str = "") -> Case:
    folder = artifact.folder
    return open_case(folder, folder, max_regression=0.05, metric="p50", limits=Limits(), runtime=named)


def test_engines_are_compared_where_trtexec_is(
    install: Install, int8: ArtifactFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    # The stand-in invents its times: whatever else this machine does, no pair of them is disturbed.
    monkeypatch.setattr(Local, "state", lambda _: DeviceState(facts={}))
    candidate = shutil.copytree(int8.folder, tmp_path / "candidate")
    half = int8.rival("fp16")
    assert half is not None
    half.manifest.at(candidate).write()
    result = CliRunner().invoke(app, ["compare", str(int8.folder), str(candidate), "--json"])
    assert result.exit_code == 1, result.output
    (case,) = json.loads(result.stdout)["cases"]
    assert case["verdict"] == "fail"
    assert case["candidate"]["runtime"] == case["base"]["runtime"] == "tensorrt 10.3.0"
    assert case["slowdown"]["estimate"] == pytest.approx(0.4, abs=0.02), "0.5 and 0.7 ms, transfers included"
    assert not any("tensorrt" in line for line in case["not_compared"])


def test_without_it_this_machine_runs_the_files_in_another_runtime_and_says_so(int8: ArtifactFolder) -> None:
    assert int8.manifest.runtime == "tensorrt"
    case = in_runtime(case_of(int8), Local())
    assert case.runtime == "onnxruntime"
    assert case.not_compared.startswith("tensorrt, which the files are for: it is not on this machine")
    assert in_runtime(case, Local()) == case


def test_a_device_that_was_named_must_have_it_unless_another_is_asked_for(int8: ArtifactFolder) -> None:
    with pytest.raises(MissingError, match="trtexec is not installed, and tensorrt needs it") as missing:
        in_runtime(case_of(int8), Board())
    assert "apt-get install tensorrt" in missing.value.hint
    assert "--runtime onnxruntime" in missing.value.hint
    assert in_runtime(case_of(int8, "onnxruntime"), Board()).runtime == "onnxruntime"
    with pytest.raises(MissingError, match="trtexec"):
        in_runtime(case_of(int8, "tensorrt"), Local())


@pytest.mark.parametrize(("base", "candidate"), [("host", "intel-cpu"), ("intel-cpu", "host")])
def test_files_of_two_formats_that_are_forced_run_in_a_runtime_each(
    elsewhere: Path, base: str, candidate: str
) -> None:
    folders = elsewhere / base, elsewhere / candidate
    case = open_case(*folders, max_regression=0.5, metric="p50", limits=Limits(), force=True)
    (found,) = gate([case], Board(), threads=1, max_seconds=60).cases
    names = {"host": "onnxruntime", "intel-cpu": "openvino"}
    assert (found.base.runtime, found.candidate.runtime) == (f"{names[base]} 1.0", f"{names[candidate]} 1.0")


def test_a_suite_tries_a_runtime_once_on_a_device(
    install: Install, int8: ArtifactFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    install()
    probed: list[str] = []
    monkeypatch.setattr(runtime, "precisions", lambda name, _: probed.append(name))
    tried: set[tuple[str, str]] = set()
    for _ in range(3):
        assert runtime.in_runtime(case_of(int8), Local(), tried).runtime == "tensorrt"
    assert probed == ["tensorrt"]


@pytest.mark.parametrize(
    ("named", "said"), [("tensorr", "tensorrt"), ("litert", "litert does not open model.onnx")]
)
def test_a_runtime_that_cannot_be_is_refused(int8: ArtifactFolder, named: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        case_of(int8, named)
    assert said in str(refused.value)


def test_a_self_test_of_engines_is_refused_with_the_way_out(install: Install, int8: ArtifactFolder) -> None:
    tools = install()
    result = CliRunner().invoke(app, ["compare", "--self-test", str(int8.folder)])
    assert result.exit_code == 2
    assert "tensorrt times files itself" in result.output
    assert "--runtime onnxruntime" in result.output
    assert not any("--exportTimes" in call for call in (tools / "calls.jsonl").read_text().splitlines())
