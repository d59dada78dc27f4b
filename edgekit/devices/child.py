"""A runner's process: started in a folder of its own, talked to in turns, always ended, and what became of it.

Standard library only, for Python 3.9 and later: `local.py` uses it here, `agent.py` on other machines.
"""

from __future__ import annotations

import json
import os
import re
import select
import signal
import subprocess
import sys
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

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
    "XDG_CACHE_HOME",
)
# Without the script's own folder on the path; older ones have no word for that.
SAFE_PATH = ("-P",) if sys.version_info >= (3, 11) else ()
OUTPUTS = "outputs.npy"
KEPT = "kept"
KEPT_BYTES = 512 * 1024 * 1024
"""What a runtime may leave in `kept/`, all files together."""
NO_MODULE = re.compile(r"^ModuleNotFoundError: No module named '([^']+)'", re.MULTILINE)


@dataclass(frozen=True)
class Work:
    """One job as the machine that runs it sees it."""

    job: Mapping[str, Any]
    """What `job.json` holds."""
    folder: Path
    """Of its own; inputs lie in it already."""
    runner: Path
    timeout_s: float


class Child:
    """A process that runs one job; `code` is its exit status, negative for a signal, None where it hangs."""

    def __init__(self, work: Work, process: subprocess.Popen[bytes]) -> None:
        self.work, self.process = work, process
        self.code: int | None = None

    @property
    def log(self) -> str:
        """What the process wrote to stderr."""
        return (self.work.folder / "log").read_text(encoding="utf-8", errors="replace")

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
        heard, _, _ = select.select([replies], [], [], self.work.timeout_s)
        return bool(heard and os.read(replies, len("ready\n")))

    def end(self) -> None:
        """No more turns: let it finish, as long as it may."""
        if self.process.stdin is not None:
            self.process.stdin.close()
        try:
            self.code = self.process.wait(self.work.timeout_s)
        except subprocess.TimeoutExpired:
            self.code = None


def run(work: Work) -> dict[str, Any]:
    """Run a job to its end and give what `outcome` tells."""
    with started(work) as child:
        child.end()
        return outcome(child)


def run_together(works: Sequence[Work], turns: int) -> list[dict[str, Any]]:
    """Run latency jobs that sample by turns; the first that crashes or hangs ends them all."""
    with ExitStack() as stack:
        children = [stack.enter_context(started(work, turns=True)) for work in works]
        alternate(children, turns)
        for child in children:
            child.end()
        return [outcome(child) for child in children]


def alternate(children: Sequence[Child], turns: int) -> None:
    """Turns in the order A B, B A, A B, …, until all are taken or one child does not answer."""
    if not all(child.replied() for child in children):
        return
    for turn in range(turns):
        for child in children if turn % 2 == 0 else reversed(children):
            if not (child.ask() and child.replied()):
                return


@contextmanager
def started(work: Work, *, turns: bool = False) -> Iterator[Child]:
    """Start a job in a clean environment; on Ctrl-C too no process of it stays behind."""
    path = work.folder / "job.json"
    path.write_text(json.dumps(work.job), encoding="utf-8")
    (work.folder / KEPT).mkdir()
    variables = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    with (work.folder / "log").open("wb") as log:
        # A session of its own, so that what the runtime starts can be ended with it, and nothing else.
        process = subprocess.Popen(
            [sys.executable, *SAFE_PATH, "-X", "faulthandler", str(work.runner), str(path)],
            cwd=work.folder,
            env={**variables, "TMPDIR": str(work.folder)},
            stdin=subprocess.PIPE if turns else subprocess.DEVNULL,
            stdout=subprocess.PIPE if turns else log,
            stderr=log,
            start_new_session=True,
        )
    try:
        yield Child(work, process)
    finally:
        # Also where the runner is gone: what it started may not be.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        for pipe in (process.stdin, process.stdout):
            if pipe is not None:
                pipe.close()


def outcome(child: Child) -> dict[str, Any]:
    """What became of an ended child: the runner's answer under `values`, or `failure` (its kind) and `reason`."""
    code, log, work = child.code, child.log, child.work
    phase = next(
        (line for line in reversed(log.splitlines()) if line.startswith("phase: ")), "phase: starting"
    )
    where = f"{Path(work.job['runtime']).stem} while {phase[len('phase: ') :]}"
    if code is None:
        return _failure("hang", f"no answer within {work.timeout_s:g} s from {where}", log)
    if code < 0:
        return _failure("crash", f"{signal_name(-code)} killed {where}", log)
    return _answered(work, code, where, log)


def _answered(work: Work, code: int, where: str, log: str) -> dict[str, Any]:
    path = work.folder / "answer.json"
    if not path.is_file():
        missing = NO_MODULE.search(log)  # the runner's own numpy: it had no chance to answer
        if missing:
            return _failure("missing", missing[1].partition(".")[0], log)
        return _failure("error", f"exit status {code} and no answer from {where}", log)
    values = json.loads(path.read_text(encoding="utf-8"))
    if values.get("missing"):
        return _failure("missing", values["missing"], log)
    if "error" in values:
        return _failure("error", f"{values['error']} (in {where})", log)
    if not work.job.get("keep"):
        for path in kept(work.folder):
            path.unlink()
    if (size := sum(path.stat().st_size for path in kept(work.folder))) > KEPT_BYTES:
        return _failure("error", f"{size} bytes in {KEPT}/, over {KEPT_BYTES} (in {where})", log)
    return {"values": values}


def left(folder: Path) -> list[Path]:
    """The files of a job's folder that go back: outputs, and those in `kept/`."""
    return [path for path in (folder / OUTPUTS,) if path.is_file()] + kept(folder)


def kept(folder: Path) -> list[Path]:
    """What the runtime put into `kept/` itself: links, and folders in it, stay behind."""
    return sorted(path for path in (folder / KEPT).glob("*") if path.is_file() and not path.is_symlink())


def _failure(kind: str, reason: str, log: str) -> dict[str, Any]:
    return {"failure": kind, "reason": reason, "log": log[-2000:]}


def _number(pipe: IO[bytes] | None) -> int:
    if pipe is None:
        raise ValueError("this child was started without turns")
    return pipe.fileno()


def signal_name(number: int, killer: str = "out of memory") -> str:
    """`SIGKILL (often: out of memory)`, `SIGSEGV`; `killer`: what often sends the first."""
    name = signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"
    return f"{name} (often: {killer})" if number == signal.SIGKILL else name
