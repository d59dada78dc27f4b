"""One connection to a device: the agent at its other end, asked in turn, and files beside it.

One ssh carries the agent's stdin and stdout and is the master (ssh_config(5), ControlMaster) over which sftp sends
and fetches files: one login. Not scp: some versions of it hand paths to a shell on the device.
"""

from __future__ import annotations

import json
import os
import re
import select
import shlex
import subprocess
import tempfile
import time
import weakref
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from edgekit.devices import agent
from edgekit.devices.ssh_errors import STARTING, agent_failed
from edgekit.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from edgekit.devices.ssh_address import Address

MODULES = ("state", "store", "child", "agent")
"""What the device gets of this package, each after those that it imports."""
LOAD = "import json, sys; exec(json.loads(sys.stdin.buffer.readline()))"
"""All that a shell there sees, whichever it is; the rest comes over stdin."""
BOOT = """
import os, traceback, types
if sys.version_info < (3, 9):
    sys.exit("Python %d.%d is too old, 3.9 is needed" % sys.version_info[:2])
for name, source in json.loads(sys.stdin.buffer.readline()):
    module = sys.modules[name] = types.ModuleType(name)
    module.__path__ = [] if "." not in name else None
    module.__package__ = name.partition(".")[0]
    exec(compile(source, name, "exec"), module.__dict__)
status = 1
try:
    sys.modules["edgekit_device.agent"].main()
    status = 0
except Exception:
    traceback.print_exc()
finally:
    os._exit(status)  # a thread still waits for stdin, and Python cannot end in order while it does
"""
START_S = 60.0
"""For the connection and a slow board's Python."""
ANSWER_S = 30.0
"""For a reply, besides what the work takes."""
FILE_S = 60.0
"""What a transfer may take besides the time for its bytes."""
END_S = 10.0
SHORT_BYTES = 64
"""A socket's path has at most 104 bytes on some systems, of which ssh takes some for itself."""
LINE_BYTES = 1024 * 1024
PLAIN_PATH = re.compile(r'/[^"\\\x00-\x1f\x7f]*')
"""A path that stays one quoted word of an sftp batch: in that a line of its own may run a command here."""


class Session:
    """An agent that is ready; raises `MissingError` where there is none, or another user has the device.

    Whatever fails ends it: what is asked of an ended session raises.
    """

    def __init__(self, address: Address, holder: str) -> None:
        self.address = address
        self._folder = tempfile.TemporaryDirectory(prefix="edgekit-", dir=_short_folder())
        self._log = Path(self._folder.name) / "log"
        self._control = str(Path(self._folder.name) / "c").replace("%", "%%")
        self._heard = b""
        self._asked_at = time.monotonic()
        command = shlex.join([address.python, "-I", "-c", LOAD])
        try:
            with self._log.open("wb") as log:
                # A session of its own: Ctrl-C in a terminal must not end it before the agent could clean up.
                self._process = subprocess.Popen(
                    [*address.ssh(self._control), command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    start_new_session=True,
                )
        except FileNotFoundError as error:
            self._folder.cleanup()
            raise MissingError(
                "there is no ssh on this machine", hint="sudo apt-get install openssh-client"
            ) from error
        self.close = weakref.finalize(self, _close, self._process, self._folder)
        started = self._exchange(BOOT, _sources(), {"holder": holder}, doing=STARTING, timeout_s=START_S)
        if "busy" in started:
            self.close()
            raise MissingError(
                f"{address} is in use by {started['busy']}", hint="wait for it: one user at a time"
            )
        self._refuse(started, STARTING)
        self.system_python: bool = started["system_python"]
        """Whether pip installs nothing there outside a virtual environment."""

    @property
    def alive(self) -> bool:
        """Whether the connection is there, as far as this side knows."""
        return self._process.poll() is None

    @property
    def idle_s(self) -> float:
        """Since the last reply."""
        return time.monotonic() - self._asked_at

    def ask(self, request: Mapping[str, Any], *, doing: str, work_s: float = 0.0) -> dict[str, Any]:
        """The agent's reply; raises `MissingError` where it gives none in time, or says what stops it."""
        answer = self._exchange(request, doing=doing, timeout_s=ANSWER_S + work_s)
        self._refuse(answer, doing)
        return answer

    def push(self, files: Mapping[str, Path]) -> None:
        """Send those files, by their SHA-256, that the device does not have yet."""
        doing = "sending files"
        sizes = {digest: path.stat().st_size for digest, path in files.items()}
        request = {"do": "missing", "digests": sorted(files), "bytes": sum(sizes.values())}
        found = self.ask(request, doing=doing)
        missing: list[str] = found["missing"]
        if not missing:
            return
        size = sum(sizes[digest] for digest in missing)
        if size > found["free_bytes"]:
            raise self._full(size, found["free_bytes"])
        with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
            for digest in missing:  # names that need no quotes, whatever the files are called here
                (Path(name) / digest).symlink_to(files[digest].resolve())
            commands = [f"put {digest}" for digest in missing]
            self._sftp(found["incoming"], commands, Path(name), size, doing=doing)
        self.ask({"do": "take_in"}, doing=doing, work_s=size / agent.SLOWEST_BYTES_S)

    def pull(self, folder: str, names: Sequence[str], size: int, into: Path) -> None:
        """Fetch files, `size` bytes together, whose names need no quotes, from a folder on the device."""
        self._sftp(folder, [f"get {name}" for name in names], into, size, doing="fetching results")

    def _sftp(self, remote: str, commands: Sequence[str], local: Path, size: int, *, doing: str) -> None:
        if not PLAIN_PATH.fullmatch(remote):
            self.close()
            raise MissingError(
                f"{self.address} named a folder that is no plain path: {remote!r}",
                hint="is it the right device? its cache folder's name must hold no quotes or line breaks",
            )
        batch = "\n".join([f'cd "{remote}"', *commands, ""])
        try:
            done = subprocess.run(
                self.address.sftp(self._control),
                input=batch.encode(),
                cwd=local,
                capture_output=True,
                timeout=FILE_S + size / agent.SLOWEST_BYTES_S,
                check=False,
                start_new_session=True,
            )
        except subprocess.TimeoutExpired as error:
            self.close()
            raise agent_failed(self.address, None, "", doing) from error
        if done.returncode:
            raise self._sftp_failed(done.stderr.decode(errors="replace"), size, doing)

    def _sftp_failed(self, told: str, size: int, doing: str) -> MissingError:
        """Why: the agent, if it is still there, knows whether its disk is full."""
        free: int = self.ask({"do": "missing", "digests": []}, doing=doing)["free_bytes"]
        self.close()
        if free < size:
            return self._full(size, free)
        last = (told.strip().splitlines() or ["no word from sftp"])[-1].strip()
        return MissingError(
            f"{self.address} failed while {doing}: {last}",
            hint=f"{free / 1e6:.1f} MB are free there; is there an sftp server (apt-get install openssh-sftp-server)?",
        )

    def _full(self, needed: int, free: int) -> MissingError:
        return MissingError(
            f"{self.address}: its disk is full: {needed / 1e6:.1f} MB are to be sent, {free / 1e6:.1f} MB are free",
            hint="make room on the device; ~/.cache/edgekit there may be removed",
        )

    def _exchange(self, *messages: object, doing: str, timeout_s: float) -> dict[str, Any]:
        """Write, then wait for one line; whatever is wrong, the connection ends with it."""
        with ExitStack() as unanswered:
            # Ctrl-C too: a reply that comes later would be taken for another's.
            unanswered.callback(self.close)
            for message in messages:
                self._write(json.dumps(message).encode() + b"\n", doing, timeout_s)
            answer = self._read(time.monotonic() + timeout_s, doing)
            unanswered.pop_all()
        self._asked_at = time.monotonic()
        return answer

    def _write(self, data: bytes, doing: str, timeout_s: float) -> None:
        if self._process.stdin is None:
            raise ValueError("an ssh without stdin")
        pipe = self._process.stdin.fileno()
        os.set_blocking(pipe, False)
        while data:
            _, ready, _ = select.select([], [pipe], [], timeout_s)
            if not ready:
                raise self._ended(None, doing)
            try:
                data = data[os.write(pipe, data) :]
            except BrokenPipeError as error:
                raise self._ended(self._status(), doing) from error

    def _read(self, deadline: float, doing: str) -> dict[str, Any]:
        if self._process.stdout is None:
            raise ValueError("an ssh without stdout")
        pipe = self._process.stdout.fileno()
        while True:
            line, newline, rest = self._heard.partition(b"\n")
            if newline:
                self._heard = rest
                if line.startswith(agent.MARK.encode()):
                    found: dict[str, Any] = json.loads(line[len(agent.MARK) :])
                    return found
                continue
            ready, _, _ = select.select([pipe], [], [], max(0.0, deadline - time.monotonic()))
            if not ready:
                raise self._ended(None, doing)
            heard = os.read(pipe, LINE_BYTES)
            if not heard:
                raise self._ended(self._status(), doing)
            self._heard += heard

    def _refuse(self, answer: Mapping[str, Any], doing: str) -> None:
        if "error" in answer:
            self.close()
            raise MissingError(
                f"{self.address} failed while {doing}: {answer['error']}", hint="see to the device"
            )

    def _status(self) -> int | None:
        try:
            return self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            return None

    def _ended(self, status: int | None, doing: str) -> MissingError:
        return agent_failed(self.address, status, self._log.read_text(errors="replace"), doing)


def _short_folder() -> str | None:
    """Where a folder for a socket can lie: the usual place, or /tmp where that has a long name."""
    return None if len(os.fsencode(tempfile.gettempdir())) <= SHORT_BYTES else "/tmp"  # noqa: S108  mkdtemp's in it


def _close(process: subprocess.Popen[bytes], folder: tempfile.TemporaryDirectory[str]) -> None:
    """The end of its stdin is the agent's word to clean up, and ssh ends after it."""
    if process.stdin is not None:
        process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    if process.stdout is not None:
        process.stdout.close()
    folder.cleanup()


def _sources() -> list[tuple[str, str]]:
    """The agent as `BOOT` takes it: modules and their sources."""
    here = Path(__file__).parent
    modules = [
        (f"edgekit_device.{name}", (here / f"{name}.py").read_text(encoding="utf-8")) for name in MODULES
    ]
    return [("edgekit_device", ""), *modules]
