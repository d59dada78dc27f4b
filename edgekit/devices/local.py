"""The machine that runs edgekit."""

from __future__ import annotations

import platform
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit.devices import HERE, Answer, Array, Failure, Job, runner
from edgekit.devices.child import Work, run, run_together
from edgekit.devices.outcome import read_outcome
from edgekit.devices.state import cpu_name, read_state
from edgekit.errors import MissingError
from edgekit.measurement import DeviceState

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

SCHEME = HERE


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
        with _laid_out([job], [inputs]) as (work,):
            return read_outcome(run(work), work.folder)

    def call_together(
        self, jobs: Sequence[Job], inputs: Sequence[Array], turns: int
    ) -> list[Answer | Failure]:
        """Run latency jobs that sample by turns; the first that crashes or hangs ends them all."""
        with _laid_out(jobs, inputs) as works:
            told = run_together(works, turns)
            return [read_outcome(one, work.folder) for one, work in zip(told, works, strict=True)]


@contextmanager
def _laid_out(jobs: Sequence[Job], inputs: Sequence[Array | None]) -> Iterator[list[Work]]:
    """Each job with a folder that holds its inputs; models and runtimes stay where they are."""
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
        works = []
        for place, (job, images) in enumerate(zip(jobs, inputs, strict=True)):
            folder = Path(name) / str(place)
            folder.mkdir()
            if images is not None:
                np.save(folder / "inputs.npy", images, allow_pickle=False)
            model = str(job.model_files[0].resolve()) if job.model_files else ""
            spec = job.spec(runtime=str(job.runtime.resolve()), model=model)
            works.append(Work(spec, folder, Path(runner.__file__), job.timeout_s))
        yield works
