"""Files as an aarch64 processor computes them (under qemu-user: for correctness, never for speed).

`make test-aarch64` makes the machine in `.aarch64` and runs this; a Raspberry Pi's and a phone's kernels are others
than x86's, and a file that is right here could be wrong there.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exporting import exported, quantized
from small_networks import Gated, Residual, Shuffled, model_of
from torch import nn

from edgekit import runtimes
from edgekit.artifact import ArtifactFolder
from edgekit.bench.candidate import Candidate, job
from edgekit.devices import Answer, runner
from edgekit.devices.local import open_uri
from edgekit.parity import Array, sqnr_db

PYTHON = Path(".aarch64/python3")
TARGETS = {"raspberry-pi-5": "litert", "host": "onnxruntime", "intel-cpu": "openvino"}
"""Targets of the three formats, each with the runtime that is tried."""
FLOAT_DB, INT8_DB = 80, 35
"""The least SQNR between the two processors: INT8 kernels round halves in different ways."""
pytestmark = [
    pytest.mark.aarch64,
    pytest.mark.timeout(600),
    # Some converter forks, and another's jax warns of any fork.
    pytest.mark.filterwarnings("ignore:Exception ignored in. <function _at_fork"),
]


@dataclass(frozen=True)
class Ran:
    """One run of the runner there."""

    answer: dict[str, Any]
    outputs: Array | None
    log: str


def run_there(mode: str, runtime: str, folder: Path, artifact: ArtifactFolder | None = None) -> Ran:
    """Let the emulated Python do a job as any device would be asked to."""
    folder.mkdir()
    files = {"runtime": str(runtimes.find(runtime).file), "model": ""}
    options: dict[str, str] = {}
    if artifact is not None:
        files["model"] = str(artifact.model_path)
        options = dict(asked(artifact, runtime).options)
        np.save(folder / "inputs.npy", artifact.parity()[0])
    asked_for = {"mode": mode, **files, "threads": 1, "options": options, "batch": 1, "limits": {}}
    (folder / "job.json").write_text(json.dumps(asked_for))
    command = [str(PYTHON.absolute()), "-P", runner.__file__, str(folder / "job.json")]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=folder)
    outputs = folder / "outputs.npy"
    return Ran(
        json.loads((folder / "answer.json").read_text()) if (folder / "answer.json").exists() else {},
        np.load(outputs) if outputs.exists() else None,
        f"exit status {done.returncode}\n{done.stderr}",
    )


def asked(artifact: ArtifactFolder, runtime: str) -> Any:
    """The job that this machine would do."""
    candidate = Candidate("file", artifact, runtime, dict(artifact.manifest.runtime_options))
    return job("predict", candidate, threads=1, timeout_s=60, limits={})


@pytest.mark.parametrize("runtime", TARGETS.values())
def test_the_runtime_opens_and_runs_its_tiny_model(runtime: str, tmp_path: Path) -> None:
    ran = run_there("probe", runtime, tmp_path / "job")
    assert "f32" in ran.answer.get("precisions", ()), ran.log


@pytest.mark.parametrize("network", [Residual, Shuffled, Gated])
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("precision", ["float", "int8"])
def test_a_file_computes_the_same_there(
    network: type[nn.Module], target: str, precision: str, tmp_path: Path
) -> None:
    model = quantized(network, target) if precision == "int8" else model_of(network)
    artifact = exported(model, target, tmp_path / "artifact")
    here = open_uri("local").call(asked(artifact, TARGETS[target]), artifact.parity()[0])
    assert isinstance(here, Answer), here
    assert here.outputs is not None
    there = run_there("predict", TARGETS[target], tmp_path / "job", artifact)
    assert there.outputs is not None, there.log
    assert sqnr_db(here.outputs, there.outputs) > (INT8_DB if precision == "int8" else FLOAT_DB)
