"""Finds the interpreter that has TensorFlow's toolkit, and runs the worker there: a folder in, a folder out."""

from __future__ import annotations

import json
import os
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from edgekit.errors import EdgekitError, InputError, MissingError
from edgekit.optional import installed

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

Told = Callable[[Mapping[str, Any]], None]
VARIABLE = "EDGEKIT_TFMOT_PYTHON"
"""Names an interpreter whose environment has the toolkit."""
PACKAGES = ("tensorflow", "tf_keras", "tensorflow_model_optimization")
LAUNCH = Path(__file__).with_name("launch.py")
CHECKOUT = Path(__file__).parents[2] / ".tools/tfmot/bin/python"
"""Where `make .tools/tfmot` puts it."""
HINT = (
    "pip install 'edgekit[tfmot]', or into an environment of its own, whose interpreter the variable "
    f"{VARIABLE} then names"
)
KEPT_VARIABLES = ("PATH", "HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TMPDIR", "OMP_NUM_THREADS")
REFUSED = "edgekit refuses:"
"""How a line begins in which the worker refuses its job: what the user gave is at fault."""


@dataclass(frozen=True)
class Work:
    """A job's folder, while it exists."""

    folder: Path

    def arrays(self, name: str) -> dict[str, Array]:
        """What the worker wrote as `name`.npz."""
        import numpy as np

        with np.load(self.folder / f"{name}.npz", allow_pickle=False) as found:
            return {key: found[key] for key in found.files}


def interpreter() -> Path:
    """The interpreter to run the worker with.

    Raises `MissingError` with the pip line where none is found, or the one that was named cannot be run.
    """
    if named := os.environ.get(VARIABLE):
        found = shutil.which(named)
        if found is None:
            raise MissingError(f"{VARIABLE} names {named}, which cannot be run", hint=HINT)
        return Path(found)
    if all(map(installed, PACKAGES)):
        return Path(sys.executable)
    if CHECKOUT.is_file():
        return CHECKOUT
    missing = next(package for package in PACKAGES if not installed(package))
    raise MissingError(f"{missing} is not installed", hint=HINT)


def check() -> None:
    """Raise `MissingError` where the toolkit is not there, without loading it: what is asked first costs little."""
    python = interpreter()
    looks = (
        "import importlib.util as u, sys; sys.exit(any(u.find_spec(name) is None for name in sys.argv[1:]))"
    )
    command = [str(python), "-I", "-c", looks, *PACKAGES]
    if subprocess.run(command, capture_output=True, timeout=60, check=False).returncode:
        raise MissingError(f"{python} has no {' and '.join(PACKAGES)}", hint=HINT)


@contextmanager
def work() -> Iterator[Work]:
    """A folder for one job: fill it, `call`, read it."""
    with tempfile.TemporaryDirectory(prefix="edgekit-tfmot-") as name:
        yield Work(Path(name))


def call(done: Work, job: Mapping[str, Any], *, timeout_s: float, told: Told | None = None) -> dict[str, Any]:
    """Run a job in its folder to the end; every line of JSON that the worker prints is `told`.

    Raises `InputError` where the worker refuses it, `EdgekitError` where it fails, crashes or says nothing for
    `timeout_s`, and `MissingError` as `interpreter`.
    """
    python = interpreter()
    (done.folder / "job.json").write_text(json.dumps(job), encoding="utf-8")
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    with (done.folder / "log").open("w", encoding="utf-8") as log:
        process = subprocess.Popen(
            [str(python), "-I", str(LAUNCH), str(done.folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            env=kept,
        )
        try:
            assert process.stdout is not None
            status = _listen(process, process.stdout, timeout_s, told)
        finally:
            if process.poll() is None:
                process.kill()
            process.wait()
            if process.stdout is not None:
                process.stdout.close()
    if status != 0:
        raise _failure(job, status, (done.folder / "log").read_text(encoding="utf-8", errors="replace"))
    result: dict[str, Any] = json.loads((done.folder / "result.json").read_text(encoding="utf-8"))
    return result


def _listen(
    process: subprocess.Popen[bytes], lines: IO[bytes], timeout_s: float, told: Told | None
) -> int | None:
    """Pass on what the worker says until it ends: its exit status, or None where it fell silent."""
    said = b""
    while True:
        ready, _, _ = select.select([lines], [], [], timeout_s)
        if not ready:
            return None
        part = os.read(lines.fileno(), 1 << 16)
        if not part:
            return process.wait(timeout_s)
        *whole, said = (said + part).split(b"\n")
        for line in whole:
            if told is not None and line.startswith(b"{"):  # libraries may print there too
                told(json.loads(line))


def _failure(job: Mapping[str, Any], status: int | None, log: str) -> EdgekitError:
    """The error that a worker's end stands for."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    last = lines[-1] if lines else "without a word"
    if last.startswith(REFUSED):
        return InputError(last.removeprefix(REFUSED).strip())
    what = f"TensorFlow's process could not {job['kind']}"
    if status is None:
        return EdgekitError(f"{what}: it said nothing for minutes, and was ended")
    if status < 0:
        return EdgekitError(f"{what}: it crashed (signal {-status})")
    return EdgekitError(f"{what}: {last}")
