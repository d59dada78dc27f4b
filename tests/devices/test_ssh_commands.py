"""edgekit's commands with `--device ssh://…`: doctor, profile, the gate, and a whole run that the device leaves."""

from __future__ import annotations

import json
import sys
import venv
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx
import pytest
from numpy.lib.stride_tricks import sliding_window_view
from onnx import helper, numpy_helper
from own_networks import own_module
from small_runs import recipe
from ssh_server import Server
from typer.testing import CliRunner, Result

from edgekit import files
from edgekit.artifact import Artifact, TensorSpec, load_artifact
from edgekit.bench import Protocol
from edgekit.bench.latency import compare
from edgekit.cli.app import app
from edgekit.devices import open_device
from edgekit.errors import MissingError
from edgekit.model import Preprocessing
from edgekit.pipeline import assess, compress, profiling, resolve
from edgekit.progress import Silent
from edgekit.report import load_report
from edgekit.request import Request

pytestmark = pytest.mark.sshd
SHORT = Protocol(blocks=2, warmup_seconds=0.01, min_seconds=0.02, max_seconds=0.5, min_samples=5)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, server: Server) -> Iterator[None]:
    """Short measurements, a cache of one's own, and no connection that outlives its test."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(assess, "PROTOCOL", SHORT)
    yield
    open_device(server.uri()).close()  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def convolution(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An artifact of one convolution, with known answers."""
    folder = tmp_path_factory.mktemp("convolution") / "run" / "artifact"
    folder.mkdir(parents=True)
    weights = np.random.default_rng(0).standard_normal((16, 3, 3, 3)).astype(np.float32)
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        [helper.make_node("Conv", ["x", "w"], ["y"], pads=[1, 1, 1, 1])],
        "convolution",
        [value("x", onnx.TensorProto.FLOAT, [1, 3, 64, 64])],
        [value("y", onnx.TensorProto.FLOAT, [1, 16, 64, 64])],
        [numpy_helper.from_array(weights, "w")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)
    onnx.save(model, folder / "model.onnx")
    known = np.random.default_rng(1).standard_normal((2, 3, 64, 64)).astype(np.float32)
    windows = sliding_window_view(np.pad(known, ((0, 0), (0, 0), (1, 1), (1, 1))), (3, 3), axis=(2, 3))
    answers = np.einsum("nchwij,ocij->nohw", windows, weights)
    np.savez(folder / "parity.npz", inputs=known, outputs=answers)
    Artifact(
        model="convolution",
        task="segmentation",
        format="onnx",
        precision="fp32",
        model_file="model.onnx",
        sha256={name: files.sha256(folder / name) for name in ("model.onnx", "parity.npz")},
        inputs=(TensorSpec(name="x", shape=(1, 3, 64, 64), dtype="float32", layout="NCHW"),),
        outputs=(TensorSpec(name="y", shape=(1, 16, 64, 64), dtype="float32", layout="NCHW"),),
        preprocessing=Preprocessing(height=64, width=64, mean=(0, 0, 0), std=(1, 1, 1)),
        labels=tuple("abcdefghijklmnop"),
    ).at(folder).write()
    return folder


def test_the_doctor_asks_the_device(server: Server) -> None:
    result = run("doctor", "--device", server.uri(), "--json")
    assert result.exit_code == 0, result.output
    found = {check["name"]: check for check in json.loads(result.stdout)}
    assert found["device"]["detail"].startswith("ssh://127.0.0.1 (")
    assert found["device's python"]["detail"] == ".".join(map(str, sys.version_info[:3]))
    assert found["device's numpy"]["detail"] == np.__version__
    assert found["runtime onnxruntime"]["ok"]
    assert not any(name.startswith("TensorRT") for name in found), "that is this machine's"


def test_the_doctor_says_what_the_device_lacks(server: Server, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = str(tmp_path / "bare" / "bin" / "python")
    uri = server.uri(python=python)
    result = run("doctor", "--device", uri, "--json")
    open_device(uri).close()  # type: ignore[attr-defined]
    found = {check["name"]: check for check in json.loads(result.stdout)}
    assert not found["device's numpy"]["ok"]
    assert found["device's numpy"]["mend"].endswith(f"{python} -m pip install numpy")
    assert found["runtime litert"]["mend"].endswith(f"{python} -m pip install ai-edge-litert")
    assert found["runtime litert"]["mend"].startswith("on ssh://")


def test_a_device_that_cannot_be_reached_is_exit_code_3(server: Server, convolution: Path) -> None:
    uri = server.uri(user="nobody-there")
    doctor = run("doctor", "--device", uri)
    assert doctor.exit_code == 3
    assert "refused to log in" in doctor.stdout
    profile = run("profile", str(convolution), "--device", uri, "--json")
    assert profile.exit_code == 3
    assert "refused to log in" in json.loads(profile.stdout)["error"]["what"]


def test_a_profile_is_measured_there(
    server: Server, convolution: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        profiling, "compare", lambda *given, **named: compare(*given, **{**named, "protocol": SHORT})
    )
    result = run("profile", str(convolution), "--device", server.uri(), "--json")
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    latency = document["latency"]
    assert latency["where"].startswith("measured:ssh://127.0.0.1 (")
    assert len(latency["blocks_ns"]) == 2
    assert len(latency["between"]) == 1
    states = (latency["before"], *latency["between"], latency["after"])
    times = [float(state["facts"]["uptime_s"]) for state in states]
    assert times == sorted(times)
    assert latency["stability"]


def test_the_gate_runs_there(server: Server, convolution: Path) -> None:
    same = str(convolution)
    result = run(
        "compare", same, same, "--device", server.uri(), "--max-time", "1", "--threads", "1", "--json"
    )
    document = json.loads(result.stdout)
    assert result.exit_code == 5, "so few pairs are inconclusive"
    (case,) = document["cases"]
    assert case["device"].startswith("ssh://127.0.0.1 (")
    assert case["verdict"] == "inconclusive"
    assert case["pairs"] + len(case["set_aside"]) >= 1
    parity = next(check for check in case["checks"] if check["name"] == "parity_db")
    assert parity["candidate"] > 80, "the known answers were run there"


class Watching(Silent):
    """Remembers what is said; cuts the connection with the first file that is sent after a message."""

    def __init__(self, server: Server, cut_at: str = "never") -> None:
        self.server, self.cut_at = server, cut_at
        self.said: list[str] = []

    def say(self, line: str) -> None:
        self.said.append(line)
        if line.startswith(self.cut_at):
            self.server.fault("drop")


def test_a_run_measures_there_and_goes_on_after_the_device_was_gone(server: Server, tmp_path: Path) -> None:
    stages = '[[stages]]\nkind = "quantize"\nmethod = "ptq"\ncalibration_samples = 16\n'
    plan = recipe(tmp_path, stages=stages)
    Path(plan).write_text(Path(plan).read_text().replace("epochs = 8", "epochs = 1"))
    with own_module(tmp_path) as module:
        asked = Request(
            f"{module}:Tiny",
            "host",
            recipe=plan,
            out=tmp_path / "run",
            input_size=32,
            threads=1,
            device=server.uri(),
        )
        with pytest.raises(MissingError, match="was lost while sending files"):
            compress(resolve(asked), Watching(server, "01-quantize: exporting"))
        assert not (tmp_path / "run" / "report.json").exists()
        server.fault("well")
        progress = Watching(server)
        done = compress(resolve(replace(asked, resume=True)), progress)
    report = load_report(done.folder)
    assert any("latency is measured on ssh://127.0.0.1 (" in line for line in progress.said)
    assert report.steps[0].latency_ms is not None
    assert report.steps[0].latency_ms.source.startswith("measured:ssh://127.0.0.1 (")
    assert report.steps[-1].accuracy is not None
    assert report.parity is not None
    assert report.parity.runtime == "onnxruntime"
    assert not any("not at hand" in warning for warning in report.warnings)
    shipped = load_artifact(done.folder / "artifact")
    known, expected = shipped.parity()
    assert len(known) == len(expected) > 0
