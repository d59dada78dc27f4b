"""A machine reached by the system's OpenSSH, with the user's own configuration and keys."""

from __future__ import annotations

import os
import platform
import tempfile
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import files
from edgekit.devices import Answer, Array, Failure, Job, agent, runner
from edgekit.devices.child import KEPT
from edgekit.devices.outcome import read_outcome
from edgekit.devices.ssh_address import Address, parse
from edgekit.devices.ssh_session import Session
from edgekit.errors import MissingError
from edgekit.measurement import DeviceState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEME = "ssh"


@cache
def open_uri(uri: str) -> Ssh:
    """The device at `ssh://…`, the same one for the same URI: a device serves one at a time.

    Raises `InputError` for a URI that cannot be; nothing is connected before something is asked.
    """
    return Ssh(parse(uri))


class Ssh:
    """Runs jobs through an agent on the device; raises `MissingError` wherever that cannot be reached."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._session: Session | None = None
        self._name = ""

    @property
    def name(self) -> str:
        """`ssh://host (<processor>, <architecture>)`; who logs in, and how, stays here."""
        if not self._name:
            self.state()
        return self._name

    def state(self) -> DeviceState:
        """As `Local.state`, of that machine."""
        facts = self._ready().ask({"do": "state"}, doing="reading its state")["facts"]
        # Kept: who reports what a device did, after it is gone, can still say which it was.
        self._name = f"ssh://{self._address.host} ({facts['cpu']}, {facts['machine']})"
        return DeviceState(facts=facts)

    def call(self, job: Job, inputs: Array | None = None) -> Answer | Failure:
        """Run a job there; a crash, a hang (it is killed) or an exception is a `Failure`."""
        return self._run([job], [inputs], turns=0)[0]

    def call_together(
        self, jobs: Sequence[Job], inputs: Sequence[Array], turns: int
    ) -> list[Answer | Failure]:
        """Run latency jobs that sample by turns; the agent gives them, so that no network lies between two."""
        return self._run(jobs, inputs, turns=turns)

    def close(self) -> None:
        """End the session: the device is free for others. What is asked next begins another."""
        if self._session is not None:
            self._session.close()
            self._session = None

    def _run(
        self, jobs: Sequence[Job], inputs: Sequence[Array | None], *, turns: int
    ) -> list[Answer | Failure]:
        session = self._ready()
        with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
            folder = Path(name)
            parcel = _Parcel(folder)
            described = [parcel.describe(job, images) for job, images in zip(jobs, inputs, strict=True)]
            session.push(parcel.files)
            told = session.ask(
                {"do": "run", "jobs": described, "turns": turns},
                doing="running a job",
                work_s=2 * sum(job.timeout_s for job in jobs),
            )
            folders = _fetch(session, told, folder / "results", len(jobs))
            return [
                read_outcome(outcome, place, self._install(session))
                for outcome, place in zip(told["outcomes"], folders, strict=True)
            ]

    def _install(self, session: Session) -> str:
        python, own = self._address.python, "edgekit-env/bin/python"
        if session.system_python:
            made = f"{python} -m venv edgekit-env (then name the device {self._address}?python={own})"
            return f"on {self._address}: {made}; {own} -m pip install"
        return f"on {self._address}: {python} -m pip install"

    def _ready(self) -> Session:
        """The session, or a new one where it ended, or where the agent may be about to end by itself."""
        if self._session is not None and not (
            self._session.alive and self._session.idle_s < agent.IDLE_S / 2
        ):
            self.close()
        if self._session is None:
            user = os.environ.get("USER", os.getuid())
            self._session = Session(self._address, f"{user} on {platform.node()} (process {os.getpid()})")
        return self._session


class _Parcel:
    """What jobs need on the device: files by their SHA-256, and for each job the names that it knows them by."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.files: dict[str, Path] = {}

    def describe(self, job: Job, images: Array | None) -> dict[str, Any]:
        """The job as `agent.py` takes it."""
        named = {
            f"runtime/{job.runtime.name}": job.runtime,
            f"runner/{Path(runner.__file__).name}": Path(runner.__file__),
        }
        named |= {f"model/{path.name}": path for path in job.model_files}
        if images is not None:
            path = self._folder / f"inputs-{len(self.files)}.npy"
            np.save(path, images, allow_pickle=False)
            named["inputs.npy"] = path
        model = f"model/{job.model_files[0].name}" if job.model_files else ""
        return {
            "spec": job.spec(runtime=f"runtime/{job.runtime.name}", model=model),
            "runner": f"runner/{Path(runner.__file__).name}",
            "timeout_s": job.timeout_s,
            "files": {name: self._add(path) for name, path in named.items()},
        }

    def _add(self, path: Path) -> str:
        digest = files.sha256(path)
        self.files[digest] = path
        return digest


def _fetch(session: Session, told: Mapping[str, Any], into: Path, count: int) -> list[Path]:
    """A folder for each job with the files that it left; raises `MissingError` for names that are none."""
    folders = [into / f"job-{place}" for place in range(count)]
    for folder in folders:
        (folder / KEPT).mkdir(parents=True)
    if told["files"]:
        session.pull(
            told["outgoing"], [str(number) for number in range(len(told["files"]))], told["bytes"], into
        )
    for number, (place, name) in enumerate(told["files"]):
        path = folders[place] / name
        if path.parent not in (folders[place], folders[place] / KEPT) or path.name in ("", ".", ".."):
            raise MissingError(f"the device gave a file of the name {name!r}", hint="is it the right device?")
        (into / str(number)).replace(path)
    return folders
