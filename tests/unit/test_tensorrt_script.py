"""The script that builds engines, run against stand-ins for the trtexec of TensorRT 10.3 and of 11."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
from trtexec_stand_in import FLAGS

from edgekit.exporters.tensorrt_script import SCRIPT, write_script

OPTIONS = {name: " ".join(FLAGS[version].split()) for name, version in (("10.3", "10.3.0"), ("11", "11.1.0"))}
MEDIANS = {"int8": "0.91", "fp16": "1.25", "int8-fp16": "0.87"}
# Refuses flags that its help does not list, as trtexec does; writes the engine; tells the engine's median.
STAND_IN = """#!/usr/bin/env bash
known="{options}"
if [ "$1" = --help ]; then printf '  %s\\n' $known; exit 0; fi
for argument in "$@"; do
    case " $known " in *" ${{argument%%=*}} "*) ;; *) echo "[E] Unknown option: $argument"; exit 1 ;; esac
    case $argument in
        --saveEngine=*) echo engine >"${{argument#*=}}" ;;
        --loadEngine=*) name=$(basename "${{argument#*=}}" .engine) ;;
    esac
done
printf '%s\\n' "$*" >>"$CALLS"
{failure}
case ${{name:-}} in
    int8) median={int8} ;; fp16) median={fp16} ;; int8-fp16) median={both} ;; *) exit 0 ;;
esac
echo "[I] Latency: min = 0.1 ms, max = 9 ms, mean = 3 ms, median = 7.77 ms, percentile(90%) = 8 ms"
echo "[I] GPU Compute Time: min = 0.8 ms, max = 2 ms, mean = 1 ms, median = $median ms, percentile(90%) = 1.3 ms"
"""


def artifact(folder: Path, *, precision: str = "int8", sparse: bool = False) -> Path:
    folder.mkdir(parents=True)
    for name in ("model.onnx", "model-fp16.onnx"):
        (folder / name).write_bytes(b"onnx")
    return folder / write_script(folder, precision=precision, sparse=sparse)


def run(
    script: Path, version: str, folder: Path, failure: str = ""
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """What the script printed, and the calls of trtexec, one a line."""
    tools, calls = folder / "tools with spaces", folder / "calls"
    tools.mkdir()
    text = STAND_IN.format(
        options=OPTIONS[version],
        failure=failure,
        int8=MEDIANS["int8"],
        fp16=MEDIANS["fp16"],
        both=MEDIANS["int8-fp16"],
    )
    (tools / "trtexec").write_text(text)
    (tools / "trtexec").chmod(0o755)
    environment = {"PATH": f"{tools}{os.pathsep}{os.environ['PATH']}", "CALLS": str(calls)}
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, env=environment, check=False)
    return done, calls.read_text().splitlines() if calls.exists() else []


def test_it_is_sound_bash_and_can_be_started(tmp_path: Path) -> None:
    script = artifact(tmp_path / "artifact")
    subprocess.run(["bash", "-n", str(script)], check=True)
    assert script.name == SCRIPT
    assert os.access(script, os.X_OK)


def test_tensorrt_10_builds_all_three_and_keeps_the_fastest(tmp_path: Path) -> None:
    script = artifact(tmp_path / "my artifact")
    done, calls = run(script, "10.3", tmp_path)
    assert done.returncode == 0, done.stderr
    assert f"fastest: int8-fp16 (median 0.87 ms): {script.parent}/engines/int8-fp16.engine" in done.stdout
    builds = [call for call in calls if "--saveEngine" in call]
    timings = [call for call in calls if "--loadEngine" in call]
    assert [call.count("--stronglyTyped") for call in builds] == [1, 1, 0]
    assert "my artifact/model-fp16.onnx" in builds[1]
    assert "--int8 --fp16" in builds[2]
    assert all(
        "--useCudaGraph --useSpinWait --noDataTransfers --separateProfileRun" in call for call in timings
    )
    assert all("--percentile=50,90,99" in call for call in timings)
    assert {path.name for path in (script.parent / "engines").glob("*.engine")} == {
        "int8.engine",
        "fp16.engine",
        "int8-fp16.engine",
    }


def test_tensorrt_11_takes_precision_from_the_files(tmp_path: Path) -> None:
    done, calls = run(artifact(tmp_path / "artifact"), "11", tmp_path)
    assert done.returncode == 0, done.stderr
    assert "int8: median 0.91 ms" in done.stdout
    assert "fp16: median 1.25 ms" in done.stdout
    assert "fastest: int8 (median 0.91 ms)" in done.stdout
    assert len(calls) == 4
    assert not [call for call in calls if "--fp16" in call or "--int8" in call or "stronglyTyped" in call]


@pytest.mark.parametrize("sparse", [False, True])
def test_sparse_kernels_are_looked_for_only_where_there_is_a_pattern(tmp_path: Path, sparse: bool) -> None:
    _, calls = run(artifact(tmp_path / "artifact", sparse=sparse), "11", tmp_path)
    assert [("--sparsity=enable" in call) for call in calls if "--saveEngine" in call] == [sparse, sparse]


def test_a_float_file_is_not_built_as_int8(tmp_path: Path) -> None:
    done, calls = run(artifact(tmp_path / "artifact", precision="fp32"), "10.3", tmp_path)
    assert not [call for call in calls if "int8" in call]
    assert "fp32.engine" in calls[0]
    assert "fastest: fp16 (median 1.25 ms)" in done.stdout


def test_an_engine_that_cannot_be_built_costs_a_candidate_only(tmp_path: Path) -> None:
    failure = 'case "$*" in *model-fp16*) echo "[E] no memory"; exit 1 ;; esac'
    done, _ = run(artifact(tmp_path / "artifact"), "11", tmp_path, failure)
    assert done.returncode == 0
    assert "fp16: could not be built, see" in done.stderr
    assert "no memory" in (tmp_path / "artifact/engines/fp16.build.log").read_text()
    assert "fastest: int8" in done.stdout


def test_where_nothing_can_be_built_it_fails(tmp_path: Path) -> None:
    done, _ = run(artifact(tmp_path / "artifact"), "11", tmp_path, 'echo "[E] no"; exit 1')
    assert done.returncode == 1
    assert "no engine could be built" in done.stderr


def test_without_trtexec_it_says_what_to_install(tmp_path: Path) -> None:
    script = artifact(tmp_path / "artifact")
    environment = {"PATH": os.environ["PATH"], "TRTEXEC": str(tmp_path / "no such file")}
    done = subprocess.run(["bash", str(script)], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 3
    assert "apt install tensorrt" in done.stderr
