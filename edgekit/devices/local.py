"""The machine that runs edgekit."""

from __future__ import annotations

import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from edgekit.devices import Answer, Array, Failure, Job, runner
from edgekit.devices.state import cpu_name, read_state
from edgekit.errors import MissingError
from edgekit.measurement import DeviceState

SCHEME = "local"
# All else is left out: OMP_*, KMP_*, MALLOC_*, LD_PRELOAD and runtimes' own variables change what runs.
KEPT_VARIABLES = (
    "PATH",
    "HOME",
    "LANG",
    "LC_ALL",
    "LD_LIBRARY_PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
)


def open_uri(uri: str) -> Local:
    """`local`; raises `MissingError` for `local://anything`."""
    if uri != SCHEME:
        raise MissingError(f"unknown device URI {uri!r}", hint="this machine is `local`")
    return Local()


class Local:
    """Runs each job in a child process with a clean environment and a folder of its own."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    @property
    def name(self) -> str:
        """`local (<processor>, <architecture>)`."""
        return f"local ({cpu_name(self._root)}, {platform.machine()})"

    def state(self) -> DeviceState:
        """Clocks, governor, temperatures, load, memory, steal time, pressure: what /proc and /sys give."""
        return DeviceState(facts=read_state(self._root))

    def call(self, job: Job, inputs: Array | None = None) -> Answer | Failure:
        """Run a job; a crash, a hang (it is killed) or an exception is a `Failure`."""
        with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
            folder = Path(name)
            if inputs is not None:
                np.save(folder / "inputs.npy", inputs, allow_pickle=False)
            job_path = folder / "job.json"
            job_path.write_text(json.dumps(_on_device(job)), encoding="utf-8")
            log_path = folder / "log"
            code = _run(
                [sys.executable, "-P", "-X", "faulthandler", runner.__file__, str(job_path)],
                folder,
                log_path,
                job.timeout_s,
            )
            return _answer(folder, job, code, log_path.read_text(encoding="utf-8", errors="replace"))


def _on_device(job: Job) -> dict[str, object]:
    return {
        "mode": job.mode,
        "runtime": str(job.runtime.resolve()),
        "model": str(job.model_files[0].resolve()) if job.model_files else "",
        "threads": job.threads,
        "options": dict(job.options),
        "batch": job.batch,
        "limits": dict(job.limits),
    }


def _run(arguments: list[str], folder: Path, log_path: Path, timeout_s: float) -> int | None:
    """The exit status, negative for a signal, None after the time-out; on Ctrl-C too nothing stays behind."""
    environment = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ} | {
        "TMPDIR": str(folder)
    }
    with log_path.open("wb") as log:
        # A session of its own, so that what the runtime starts can be ended with it, and nothing else.
        process = subprocess.Popen(
            arguments,
            cwd=folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return None
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


def _answer(folder: Path, job: Job, code: int | None, log: str) -> Answer | Failure:
    phase = next(
        (line for line in reversed(log.splitlines()) if line.startswith("phase: ")), "phase: starting"
    )
    where = f"{job.runtime.stem} while {phase.removeprefix('phase: ')}"
    tail = log[-2000:]
    if code is None:
        return Failure("hang", f"no answer within {job.timeout_s:g} s from {where}", tail)
    if code < 0:
        return Failure("crash", f"{_signal_name(-code)} killed {where}", tail)
    path = folder / "answer.json"
    if not path.is_file():
        return Failure("error", f"exit status {code} and no answer from {where}", tail)
    values = json.loads(path.read_text(encoding="utf-8"))
    if values.get("missing"):
        return Failure("missing", values["missing"], tail)
    if "error" in values:
        return Failure("error", f"{values['error']} (in {where})", tail)
    outputs = folder / "outputs.npy"
    return Answer(values, np.load(outputs, allow_pickle=False) if outputs.is_file() else None)


def _signal_name(number: int) -> str:
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return f"{name} (often: out of memory)" if number == signal.SIGKILL else name
