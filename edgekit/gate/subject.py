"""What is compared, opened and checked: an artifact, a run's folder, or a small file that points to one."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from edgekit import files
from edgekit.artifact import PARITY, ArtifactFolder, load_artifact
from edgekit.bench import Candidate
from edgekit.bench.candidate import job
from edgekit.errors import InputError
from edgekit.frozen import Frozen
from edgekit.report import REPORT, load_report
from edgekit.runtimes import RUNTIME_OF


class Pointer(Frozen):
    """A small file under version control that stands for an artifact kept elsewhere."""

    artifact: str
    """Its folder, relative to this file."""
    sha256: Mapping[str, str] = {}
    """Files of the artifact whose content is pinned."""


def open_subject(path: Path, runtime: str = "") -> ArtifactFolder:
    """Open one side; raises `InputError` for what is missing, was changed, or does not fit the runtime."""
    found = _pointed_to(path) if _is_pointer(path) else load_artifact(path)
    # Refuses a file or options that do not fit the runtime now, not when half a suite is measured.
    job("latency", candidate_of(str(path), found, runtime), threads=1, timeout_s=1, limits={})
    if (found.folder / PARITY).is_file():
        _check_known_answers(found)
    return found


def _check_known_answers(artifact: ArtifactFolder) -> None:
    path = artifact.folder / PARITY
    try:
        known, expected = artifact.parity()
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} holds no known answers: {error}", hint="export again") from error
    if not 0 < len(known) == len(expected):
        raise InputError(
            f"{path} holds no known answers: {len(known)} inputs and {len(expected)} outputs",
            hint="export again",
        )


@dataclass(frozen=True)
class Tested:
    """What a run's report says of a file."""

    accuracy: float
    data: str
    """The hash of what it was tested on."""


def tested(artifact: ArtifactFolder) -> Tested | None:
    """The accuracy of this very file, from the report of the run that it lies in; raises `InputError` for a bad one."""
    run = artifact.folder.parent
    if not (run / REPORT).is_file():
        return None
    report = load_report(run)
    accuracy = report.steps[-1].accuracy if report.steps else None
    if accuracy is None or report.artifact.sha256 != artifact.sha256:
        return None
    return Tested(accuracy, str(report.data.get("sha256")))


def candidate_of(name: str, artifact: ArtifactFolder, runtime: str = "") -> Candidate:
    """An artifact in a runtime; by default in that of its format, with the options that its manifest has for it."""
    manifest = artifact.manifest
    anywhere = RUNTIME_OF[manifest.format]
    options = dict(manifest.runtime_options) if runtime in ("", anywhere) else {}
    return Candidate(name, artifact, runtime or anywhere, options)


def _is_pointer(path: Path) -> bool:
    return path.is_file() and path.suffix == ".json" and path.name != "manifest.json"


def _pointed_to(path: Path) -> ArtifactFolder:
    try:
        pointer = Pointer.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, json.JSONDecodeError, UnicodeDecodeError, OSError) as error:
        raise InputError(
            f"{path} points to no artifact: {error}",
            hint='it should hold {"artifact": "FOLDER", "sha256": {…}}',
        ) from error
    found = load_artifact(path.parent / pointer.artifact)
    for name, digest in pointer.sha256.items():
        pinned = files.inside(found.folder, name)
        if not pinned.is_file():
            raise InputError(f"{pinned}, which {path} pins, is missing", hint="fetch the artifact again")
        if files.sha256(pinned) != digest:
            raise InputError(f"{pinned} is not what {path} pins: its SHA-256 differs")
    return found
