"""`Case`: which two files are compared, and what the candidate may cost."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import Field, ValidationError

from edgekit import files
from edgekit.artifact import ArtifactFolder, load_artifact
from edgekit.errors import InputError
from edgekit.frozen import Frozen
from edgekit.gate.pairs import Metric


class Limits(Frozen):
    """What a candidate may lose beside speed; shares are of the base's figure."""

    size: float = Field(default=0.05, ge=0)
    peak_memory: float = Field(default=0.10, ge=0)
    accuracy_points: float = Field(default=1.0, ge=0)
    parity_db: float = Field(default=6.0, ge=0)
    """Decibels of SQNR between a file and its network that may be lost, where it ends under 25 dB."""
    float_operators: int = Field(default=0, ge=0)
    """Weighted operators more that the runtime computes in float."""


class Pointer(Frozen):
    """A small file under version control that stands for an artifact kept elsewhere."""

    artifact: str
    """Its folder, relative to this file."""
    sha256: Mapping[str, str] = {}
    """Files of the artifact whose content is pinned."""


@dataclass(frozen=True)
class Case:
    """A base and a candidate, opened and checked."""

    name: str
    base: ArtifactFolder
    candidate: ArtifactFolder
    max_regression: float
    metric: Metric
    limits: Limits


def open_case(
    base: Path, candidate: Path, *, max_regression: float, metric: Metric, limits: Limits, name: str = "",
    force: bool = False,
) -> Case:  # fmt: skip
    """Open both sides; raises `InputError` for files that were changed, and for another model as base."""
    before, after = open_subject(base), open_subject(candidate)
    was, becomes = before.manifest, after.manifest
    if not force and (was.model, was.task) != (becomes.model, becomes.task):
        raise InputError(
            f"{base} is a {was.model}, {candidate} a {becomes.model}: two models, not two versions of one",
            hint="--force compares them all the same",
        )
    if was.inputs[0].shape != becomes.inputs[0].shape and not force:
        raise InputError(
            f"the inputs differ: {was.inputs[0].shape} in {base}, {becomes.inputs[0].shape} in {candidate}",
            hint="--force compares them all the same",
        )
    return Case(name or becomes.model, before, after, max_regression, metric, limits)


def open_subject(path: Path) -> ArtifactFolder:
    """An artifact, a run's folder, or the pointer to one; hashes are checked."""
    if not path.is_file() or path.suffix != ".json" or path.name == "manifest.json":
        return load_artifact(path)
    try:
        pointer = Pointer.model_validate(json.loads(path.read_text(encoding="utf-8")))
    except (ValidationError, json.JSONDecodeError, UnicodeDecodeError) as error:
        raise InputError(
            f"{path} points to no artifact: {error}",
            hint='it should hold {"artifact": "FOLDER", "sha256": {…}}',
        ) from error
    found = load_artifact(path.parent / pointer.artifact)
    for name, digest in pointer.sha256.items():
        if files.sha256(files.inside(found.folder, name)) != digest:
            raise InputError(f"{found.folder / name} is not what {path} pins: its SHA-256 differs")
    return found
