"""A runner's process on this machine: started in a folder of its own, talked to in turns, always ended."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

import numpy as np

from edgekit.devices import runner

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.devices import Array, Job

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


class Child:
    """A process that runs one job; `code` is its exit status, negative for a signal, None where it hangs."""

    def __init__(self, job: Job, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.job, self.folder, self.process = job, folder, process
        self.code: int | None = None

    @property
    def log(self) -> str:
        """What the process wrote to stderr."""
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def ask(self) -> bool:
        """Give it a turn; False where it is gone."""
        try:
            os.write(_number(self.process.stdin), b"\n")
        except BrokenPipeError:
            return False
        return True

    def replied(self) -> bool:
        """Wait for its word that it is ready, or done; False where it is gone, or says nothing in time."""
        replies = _number(self.process.stdout)
        heard, _, _ = select.select([replies], [], [], self.job.timeout_s)
        return bool(heard and os.read(replies, len("ready\n")))

    def end(self, timeout_s: float) -> None:
        """No more turns: let it finish, for so long."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.code = self.process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            self.code = None


def _number(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise ValueError("this child was started without turns")
    return pipe.fileno()


def alternate(children: Sequence[Child], turns: int) -> None:
    """Turns in the order A B, B A, A B, …, until all are taken or one child does not answer."""
    if not all(child.replied() for child in children):
        return
    for turn in range(turns):
        for child in children if turn % 2 == 0 else reversed(children):
            if not (child.ask() and child.replied()):
                return


@contextmanager
def started(job: Job, inputs: Array | None, *, turns: bool = False) -> Iterator[Child]:
    """Start a job in a clean environment; on Ctrl-C too nothing of it stays behind."""
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
        folder = Path(name)
        if inputs is not None:
            np.save(folder / "inputs.npy", inputs, allow_pickle=False)
        path = folder / "job.json"
        path.write_text(json.dumps(_on_device(job)), encoding="utf-8")
        kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
        with (folder / "log").open("wb") as log:
            # A session of its own, so that what the runtime starts can be ended with it, and nothing else.
            process = subprocess.Popen(
                [sys.executable, "-P", "-X", "faulthandler", runner.__file__, str(path)],
                cwd=folder,
                env=kept | {"TMPDIR": str(folder)},
                stdin=subprocess.PIPE if turns else subprocess.DEVNULL,
                stdout=subprocess.PIPE if turns else log,
                stderr=log,
                start_new_session=True,
            )
        try:
            yield Child(job, folder, process)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


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
