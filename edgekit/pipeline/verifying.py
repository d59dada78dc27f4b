"""`verify`: whether what was shipped is still what was made, and still answers as it did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from edgekit.artifact import load_artifact
from edgekit.bench import predict
from edgekit.bundle import verify_bundle
from edgekit.bundle.archive import SUFFIX
from edgekit.bundle.manifest import is_bundle
from edgekit.devices import Device, open_device
from edgekit.parity import sqnr_db
from edgekit.pipeline.bundling import FOLDER
from edgekit.pipeline.folder import is_finished
from edgekit.pipeline.proof import ENOUGH_DB
from edgekit.report import load_report
from edgekit.runtimes import RUNTIME_OF

MARGIN_DB = 6.0
"""How much less than its report tells a file may reach here: another processor's kernels, fewer inputs."""


@dataclass(frozen=True)
class KnownAnswer:
    """One comparison; `value` is an SQNR in `dB` that must reach `limit`, or a `difference` that must not exceed it."""

    name: str
    value: float
    limit: float
    unit: Literal["dB", "difference"]
    holds: bool


@dataclass(frozen=True)
class Verification:
    """What was looked at: an artifact, a bundle, or both of a run; every hash in it is right."""

    model: str
    files: int
    """Whose SHA-256 was checked."""
    answers: tuple[KnownAnswer, ...]

    @property
    def holds(self) -> bool:
        """Whether all known answers came out."""
        return all(answer.holds for answer in self.answers)

    def document(self) -> dict[str, Any]:
        """The verification as `--json` prints it."""
        return {**asdict(self), "holds": self.holds}


def verify(path: Path, *, device: str = "local", threads: int = 2) -> Verification:
    """Check every hash of a run, an artifact or a bundle (a folder or its zip), and run its known answers.

    Raises `InputError` that names the first file that is not what was written, and the errors of `predict`.
    """
    where = open_device(device)
    if is_bundle(path) or path.suffix == SUFFIX:
        return _bundle(path, where)
    found = _artifact(path, where, threads)
    if not is_bundle(path / FOLDER):
        return found
    beside = _bundle(path / FOLDER, where)
    return Verification(found.model, found.files + beside.files, (*found.answers, *beside.answers))


def _artifact(path: Path, device: Device, threads: int) -> Verification:
    artifact = load_artifact(path)
    manifest = artifact.manifest
    inputs, expected = artifact.parity()
    options = dict(manifest.runtime_options)
    runtime = RUNTIME_OF[manifest.format]
    decibels = sqnr_db(expected, predict(artifact, runtime, inputs, device, threads=threads, options=options))
    least = _least(path)
    answer = KnownAnswer(f"{manifest.model_file} in {runtime}", decibels, least, "dB", decibels >= least)
    return Verification(manifest.model, len(manifest.sha256), (answer,))


def _least(path: Path) -> float:
    parity = load_report(path).parity if is_finished(path) else None
    return ENOUGH_DB if parity is None else min(ENOUGH_DB, parity.sqnr_db - MARGIN_DB)


def _bundle(path: Path, device: Device) -> Verification:
    found = verify_bundle(path, device)
    answers = (
        KnownAnswer(check.name, check.difference, check.tolerance, "difference", check.holds)
        for check in found.checks
    )
    return Verification(found.model, found.files, tuple(answers))
