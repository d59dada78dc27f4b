"""What runs on a device while edgekit works with it: started over ssh, told what to do in lines of JSON on stdin.

Standard library only, for Python 3.9 and later; it is handed to `python3 -c` with `child.py`, `state.py` and
`store.py` and lies on no disk. It holds the device's lock and one folder of its own. When stdin closes (the
connection is gone, or edgekit ended), or when nobody asked for anything for `IDLE_S`, it ends all that it started
and removes the folder. What an earlier agent could not clean up, because it was killed, it removes first.
"""

from __future__ import annotations

import fcntl
import json
import os
import queue
import shutil
import signal
import sys
import sysconfig
import tempfile
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from .child import Work, left, run, run_together
from .state import read_state
from .store import Store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

IDLE_S = 120
"""A laptop that was closed must not hold a device for long."""
SLOWEST_BYTES_S = 50_000
"""A bad wireless link: while files are sent or fetched, nobody asks for anything."""
LOCK_WAIT_S = 5
"""An earlier session may just be ending."""
ENDING = (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)
MARK = "edgekit-agent "
"""Begins each line of ours: a shell's start files may print too."""

Message = dict[str, Any]


def main() -> None:
    """Serve until stdin closes; the first line says who asks."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what anything else prints is no reply

    def reply(message: Message) -> None:
        replies.write(f"{MARK}{json.dumps(message)}\n")
        replies.flush()

    try:
        asked = _asked(sys.stdin.buffer)
        root = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "edgekit"
        root.mkdir(parents=True, exist_ok=True)
        with _locked(root / "lock", asked.get()["holder"]) as other:
            if other is not None:
                reply({"busy": other})
                return
            store = Store(root / "store")
            try:
                with _session_folder(root / "sessions") as folder:
                    try:
                        reply({"system_python": _system_python()})
                        _serve(Agent(store, folder), asked, reply)
                    finally:
                        _ignore_signals()
            finally:
                store.evict()
    except (OSError, RuntimeError) as error:  # a full or read-only disk, no home
        reply({"error": str(error)})


class Agent:
    """What can be asked for; paths in replies are this machine's."""

    def __init__(self, store: Store, folder: Path) -> None:
        self.store, self.folder = store, folder
        self.incoming = folder / "incoming"
        self.incoming.mkdir()
        self.requests: dict[str, Callable[[Message], Message]] = {
            "state": self.state,
            "missing": self.missing,
            "take_in": self.take_in,
            "run": self.run,
        }

    def answer(self, message: Message) -> Message:
        """The reply to one request; what the disk or the files do wrong is a reply as well."""
        try:
            return self.requests[message["do"]](message)
        except (OSError, ValueError) as error:
            return {"error": str(error)}

    def state(self, _: Message) -> Message:
        """The machine's facts."""
        return {"facts": read_state(Path("/"))}

    def missing(self, message: Message) -> Message:
        """Of some digests those that are not here, and where to put them."""
        return {
            "missing": self.store.missing(message["digests"]),
            "incoming": str(self.incoming),
            "free_bytes": self._free_bytes(),
        }

    def take_in(self, _: Message) -> Message:
        """What was put there into the store."""
        for path in self.incoming.iterdir():
            self.store.take_in(path)
        return {}

    def run(self, message: Message) -> Message:
        """Run jobs, by turns where there are any; files that go back lie in `outgoing`, named by their places."""
        for name in ("jobs", "outgoing"):
            shutil.rmtree(self.folder / name, ignore_errors=True)
        works = [self._laid_out(job, self.folder / "jobs" / str(i)) for i, job in enumerate(message["jobs"])]
        turns = message["turns"]
        outcomes = run_together(works, turns) if turns else [run(work) for work in works]
        outgoing = self.folder / "outgoing"
        outgoing.mkdir()
        files: list[tuple[int, str]] = []
        for place, (work, told) in enumerate(zip(works, outcomes)):  # noqa: B905  Python 3.9 has no `strict`
            for path in [] if "failure" in told else left(work.folder):
                path.replace(outgoing / str(len(files)))
                files.append((place, path.relative_to(work.folder).as_posix()))
        size = sum(path.stat().st_size for path in outgoing.iterdir())
        return {"outcomes": outcomes, "outgoing": str(outgoing), "files": files, "bytes": size}

    def _laid_out(self, job: Message, folder: Path) -> Work:
        """A job's folder: each file under the name that it has where edgekit runs, some in a folder of their own."""
        for name, digest in job["files"].items():
            path = folder / name
            if ".." in Path(name).parts or not path.resolve().is_relative_to(folder.resolve()):
                raise ValueError(f"{name!r} lies outside its folder")
            path.parent.mkdir(parents=True, exist_ok=True)
            self.store.lend(digest, path)
        return Work(job["spec"], folder, folder / job["runner"], job["timeout_s"])

    def _free_bytes(self) -> int:
        return shutil.disk_usage(self.folder).free


def _system_python() -> bool:
    """Whether packages of this Python are the distribution's, and pip refuses to install any (PEP 668)."""
    return (
        sys.prefix == sys.base_prefix
        and (Path(sysconfig.get_path("stdlib")) / "EXTERNALLY-MANAGED").is_file()
    )


def _serve(agent: Agent, asked: queue.Queue[Message], reply: Callable[[Message], None]) -> None:
    patience_s: float = IDLE_S
    while True:
        try:
            message = asked.get(timeout=patience_s)
        except queue.Empty:
            return
        answer = agent.answer(message)
        reply(answer)
        on_the_way = message.get("bytes", 0) + answer.get("bytes", 0)
        patience_s = IDLE_S + on_the_way / SLOWEST_BYTES_S


def _asked(stream: IO[bytes]) -> queue.Queue[Message]:
    """Requests as they come; the end of them ends this process, also in the middle of a job."""
    requests: queue.Queue[Message] = queue.Queue()

    def read() -> None:
        for line in stream:
            requests.put(json.loads(line))
        os.kill(os.getpid(), signal.SIGTERM)

    def end(number: int, _: object) -> None:
        _ignore_signals()
        raise SystemExit(128 + number)

    for kind in ENDING:
        signal.signal(kind, end)
    threading.Thread(target=read, daemon=True).start()
    return requests


def _ignore_signals() -> None:
    """Cleaning up is not interrupted: a reply to nobody may start it, and the end of stdin is told just after."""
    for kind in ENDING:
        signal.signal(kind, signal.SIG_IGN)


@contextmanager
def _locked(path: Path, holder: str) -> Iterator[str | None]:
    """Hold the device's lock: gives None, or who holds it instead; the kernel frees it however this process ends."""
    with path.open("a+", encoding="utf-8") as stream:
        deadline = time.monotonic() + LOCK_WAIT_S
        while True:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if time.monotonic() > deadline:
                    stream.seek(0)
                    yield stream.read().strip() or "somebody"
                    return
                time.sleep(0.2)
            else:
                break
        stream.truncate(0)
        stream.write(f"{holder} since {time.strftime('%Y-%m-%d %H:%M:%S')}\n")
        stream.flush()
        yield None


@contextmanager
def _session_folder(sessions: Path) -> Iterator[Path]:
    """A folder for as long as the lock is held; those that lie there are of agents that were killed."""
    if sessions.exists():
        _end_jobs_in(sessions)
        shutil.rmtree(sessions, ignore_errors=True)
    sessions.mkdir()
    folder = Path(tempfile.mkdtemp(dir=sessions))
    try:
        yield folder
    finally:
        _end_jobs_in(folder)  # one that was being started when this process was told to end
        shutil.rmtree(folder, ignore_errors=True)


def _end_jobs_in(folder: Path) -> None:
    """End runners that outlived their agent, and what they started: their TMPDIR lies in this folder."""
    mark = b"TMPDIR=" + os.fsencode(folder) + b"/"
    for process in _processes():
        try:
            if any(word.startswith(mark) for word in (process / "environ").read_bytes().split(b"\0")):
                os.kill(int(process.name), signal.SIGKILL)
        except OSError:  # another user's, or gone
            continue


def _processes() -> list[Path]:
    """Their folders; `glob` would look into each, and raise for one that ends meanwhile."""
    proc = Path("/proc")
    return [path for path in proc.iterdir() if path.name.isdigit()] if proc.is_dir() else []
