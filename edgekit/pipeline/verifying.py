"""`verify`: whether what was shipped is still what was made, and still answers as it did."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from edgekit.artifact import MANIFEST, ArtifactFolder, load_artifact
from edgekit.bench import predict
from edgekit.bundle import verify_bundle
from edgekit.bundle.archive import SUFFIX
from edgekit.bundle.check import check_zip
from edgekit.bundle.manifest import is_bundle
from edgekit.devices import Device
from edgekit.errors import InputError
from edgekit.exporters.rules import breaches, title
from edgekit.parity import sqnr_db
from edgekit.pipeline.bundling import FOLDER, zip_of
from edgekit.pipeline.folder import is_finished
from edgekit.pipeline.place import answers_on
from edgekit.pipeline.proof import ENOUGH_DB
from edgekit.progress import Progress, Silent
from edgekit.report import Report, load_report
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
class RuleCheck:
    """An INT8 file read against its runtime's rules."""

    file: str
    rules: str
    """Whose they are."""
    breaches: tuple[str, ...]


@dataclass(frozen=True)
class Verification:
    """What was looked at: an artifact with its float rival, a bundle, or all of a run; every hash is right."""

    model: str
    files: int
    """Whose SHA-256 was checked."""
    answers: tuple[KnownAnswer, ...]
    rules: tuple[RuleCheck, ...] = ()
    """None of a float file, of one from before edgekit wrote down what it was held to, or of a bundle."""

    @property
    def holds(self) -> bool:
        """Whether all known answers came out, and no rule is broken."""
        return all(answer.holds for answer in self.answers) and not any(each.breaches for each in self.rules)

    def document(self) -> dict[str, Any]:
        """The verification as `--json` prints it."""
        return {**asdict(self), "holds": self.holds}


def verify(
    path: Path, *, device: str = "local", threads: int = 2, progress: Progress | None = None
) -> Verification:
    """Check every hash of a run, an artifact or a bundle (a folder or its zip), run its known answers, read its rules.

    Raises `InputError` that names the first file that is not what was written, and the errors of `predict`.
    """
    where = answers_on(device, progress or Silent())
    if is_bundle(path) or path.suffix == SUFFIX:
        return _bundle(path, where)
    artifact = load_artifact(path)
    found = _artifact(artifact, _least(path), where, threads)
    parts, rival = [found], artifact.folder / "float"
    if (rival / MANIFEST).is_file():
        parts.append(_artifact(load_artifact(rival), ENOUGH_DB, where, threads))
    if _has_bundle(path):
        parts.append(_bundle(path / FOLDER, where))
        check_zip(zip_of(path / FOLDER), path / FOLDER)
    return Verification(
        found.model,
        sum(part.files for part in parts),
        tuple(answer for part in parts for answer in part.answers),
        tuple(check for part in parts for check in part.rules),
    )


def _has_bundle(path: Path) -> bool:
    """Whether a run has a bundle; raises `InputError` where its folder or its zip is missing."""
    folder = path / FOLDER
    there = {each: each.exists() for each in (folder, zip_of(folder))}
    wanted = any(there.values()) or (is_finished(path) and _bundles(load_report(path)))
    if missing := [each for each, found in there.items() if wanted and not found]:
        raise InputError(
            f"{missing[0]} is missing", hint="the run's own command with --resume writes it again"
        )
    return wanted


def _bundles(report: Report) -> bool:
    """Whether the run of a report wrote a bundle: none is made of a file that takes several pictures at once."""
    return bool(report.target.get("bundle")) and report.model["input_shape"][0] == 1


def _artifact(artifact: ArtifactFolder, least_db: float, device: Device, threads: int) -> Verification:
    manifest = artifact.manifest
    inputs, expected = artifact.parity()
    options = dict(manifest.runtime_options)
    runtime = RUNTIME_OF[manifest.format]
    decibels = sqnr_db(expected, predict(artifact, runtime, inputs, device, threads=threads, options=options))
    name = f"{manifest.precision} {manifest.model_file} in {runtime}"
    answer = KnownAnswer(name, decibels, least_db, "dB", decibels >= least_db)
    return Verification(manifest.model, len(manifest.sha256), (answer,), _rules(artifact))


def _rules(artifact: ArtifactFolder) -> tuple[RuleCheck, ...]:
    manifest = artifact.manifest
    if manifest.int8_rules is None:
        return ()
    broken = breaches(artifact.model_path, manifest.int8_rules)
    return (RuleCheck(manifest.model_file, title(manifest.int8_rules), tuple(broken)),)


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
