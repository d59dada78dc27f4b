"""The machine that runs edgekit."""

from __future__ import annotations

import json
import platform
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.devices import Answer, Array, Failure, Job
from edgekit.devices.child import Child, alternate, started
from edgekit.devices.state import cpu_name, read_state
from edgekit.errors import MissingError
from edgekit.measurement import DeviceState

if TYPE_CHECKING:
    from collections.abc import Sequence

SCHEME = "local"


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
        with started(job, inputs) as child:
            child.end(job.timeout_s)
            return _answer(child)

    def call_together(
        self, jobs: Sequence[Job], inputs: Sequence[Array], turns: int
    ) -> list[Answer | Failure]:
        """Run latency jobs that sample by turns; the first that crashes or hangs ends them all."""
        with ExitStack() as stack:
            children = [
                stack.enter_context(started(job, images, turns=True))
                for job, images in zip(jobs, inputs, strict=True)
            ]
            alternate(children, turns)
            for child in children:
                child.end(child.job.timeout_s)
            return [_answer(child) for child in children]


def _answer(child: Child) -> Answer | Failure:
    folder, job, code, log = child.folder, child.job, child.code, child.log
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
    return Answer(
        values,
        np.load(outputs, allow_pickle=False) if outputs.is_file() else None,
        {path.name: path.read_bytes() for path in sorted((folder / "kept").glob("*"))},
    )


def _signal_name(number: int) -> str:
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return f"{name} (often: out of memory)" if number == signal.SIGKILL else name
