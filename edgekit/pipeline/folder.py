"""A run's folder: who may write it, and what has been finished in it."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout
from pydantic import ValidationError

from edgekit import files
from edgekit.checkpoint import load_model, save_model
from edgekit.errors import InputError
from edgekit.frozen import Frozen
from edgekit.model import Model
from edgekit.pipeline.job import Job, content_key
from edgekit.report import REPORT, Step

RUN = "run.json"
STEP = "step.json"


class Record(Frozen):
    """A finished step, and whether a later recovery still decides on it."""

    step: Step
    provisional: bool = False


class RunFolder:
    """The folder of one run; every file in it appears whole."""

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def artifact(self) -> Path:
        """The files that ship."""
        return self.path / "artifact"

    @property
    def candidates(self) -> Path:
        """Exports that are judged; gone when the run ends."""
        return self.path / ".candidates"

    def checkpoint(self, index: int, stage: str) -> Path:
        """`checkpoints/NN-stage`."""
        return self.path / "checkpoints" / f"{index:02d}-{stage}"

    def finish(self, index: int, stage: str, record: Record, model: Model | None) -> None:
        """Write a finished step, with its model where the step was kept."""
        with files.new_folder(self.checkpoint(index, stage)) as temporary:
            if model is not None:
                save_model(model, temporary)
            files.write_json(temporary / STEP, record.model_dump(mode="json"))

    def finished(self, index: int, stage: str) -> Record | None:
        """The record of a step that an earlier, interrupted run finished."""
        path = self.checkpoint(index, stage) / STEP
        if not path.is_file():
            return None
        try:
            return Record.model_validate_json(path.read_text(encoding="utf-8"))
        except ValidationError as error:
            raise InputError(f"{path} is damaged: {error}", hint="start again with --force") from error

    def model(self, index: int, stage: str) -> Model:
        """The model of a kept step."""
        return load_model(self.checkpoint(index, stage))

    def forget_from(self, index: int) -> None:
        """Drop the checkpoints of step `index` and all after it."""
        for folder in (self.path / "checkpoints").glob("[0-9][0-9]-*"):
            if int(folder.name.partition("-")[0]) >= index:
                shutil.rmtree(folder)


@contextmanager
def run_folder(job: Job) -> Iterator[RunFolder]:
    """The job's folder, locked for this process; new, resumed or replaced as the request says.

    Raises `InputError` where it holds another run, is in use, or cannot be written.
    """
    path = job.request.out or _default(job)
    ours = not path.exists()
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise InputError(
            f"cannot write the output folder {path}: {error.strerror}", hint="give another --out"
        ) from error
    if not os.access(path, os.W_OK):
        raise InputError(f"cannot write the output folder {path}", hint="give another --out")
    lock = FileLock(path / ".lock", timeout=0)
    try:
        lock.acquire()
    except Timeout as error:
        raise InputError(
            f"another run is writing {path}", hint="wait for it, or give another --out"
        ) from error
    folder = RunFolder(path)
    try:
        _prepare(path, job)
        yield folder
    finally:
        shutil.rmtree(folder.candidates, ignore_errors=True)
        lock.release()
        if ours and not (path / "checkpoints").exists():
            shutil.rmtree(path)  # nothing was finished: nothing to resume, and no name to hold


def _prepare(path: Path, job: Job) -> None:
    held = [entry for entry in path.iterdir() if entry.name not in (".lock", ".candidates")]
    if held and not (path / RUN).is_file():
        raise InputError(f"{path} holds other files, and no run of edgekit", hint="give another --out")
    if held and job.request.force:
        for entry in held:
            shutil.rmtree(entry) if entry.is_dir() else entry.unlink()
    elif held and not job.request.resume:
        raise InputError(f"{path} already holds a run", hint="--resume continues it, --force replaces it")
    elif held:
        _check_same(path, job)
    for rest in (path / "checkpoints").glob(".*"):  # of a run that was killed while it wrote
        shutil.rmtree(rest)
    for rest in path.glob(".bundle*"):
        shutil.rmtree(rest) if rest.is_dir() else rest.unlink()
    files.write_json(path / RUN, job.key)


def _check_same(path: Path, job: Job) -> None:
    """A resumed run must have been asked for the same."""
    before: dict[str, Any] = json.loads((path / RUN).read_text(encoding="utf-8"))
    other = [name for name, value in job.key.items() if content_key(before.get(name)) != content_key(value)]
    if other:
        raise InputError(
            f"{path} holds a run with another {', '.join(other)}", hint="give the same options, or --force"
        )


def _default(job: Job) -> Path:
    """`runs/MODEL-TARGET`, or the next free number of it; `--resume` takes the newest."""
    stem = f"{job.entry.name}-{job.target.id}"
    names = [stem, *(f"{stem}-{number}" for number in range(2, 10_000))]
    existing = [name for name in names if (Path("runs") / name).exists()]
    if (job.request.resume or job.request.force) and existing:
        return Path("runs") / existing[-1]
    return Path("runs") / next(name for name in names if name not in existing)


def is_finished(path: Path) -> bool:
    """Whether the run in a folder wrote its report."""
    return (path / REPORT).is_file()
