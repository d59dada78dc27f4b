"""`Case`: which two files are compared, and what the candidate may cost."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from pydantic import Field

from edgekit.artifact import Artifact, ArtifactFolder
from edgekit.devices import Device
from edgekit.errors import InputError
from edgekit.frozen import Frozen
from edgekit.gate.pairs import Metric
from edgekit.gate.subject import Tested, open_subject, tested


class Limits(Frozen):
    """What a candidate may lose beside speed; shares are of the base's figure."""

    size: float = Field(default=0.05, ge=0, allow_inf_nan=False)
    peak_memory: float = Field(default=0.10, ge=0, allow_inf_nan=False)
    accuracy_points: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    parity_db: float = Field(default=6.0, ge=0, allow_inf_nan=False)
    """Decibels of SQNR between a file and its network that may be lost, where it ends under 25 dB."""
    float_operators: int = Field(default=0, ge=0)
    """Weighted operators more that the runtime computes in float."""


@dataclass(frozen=True)
class Case:
    """A base and a candidate, opened and checked."""

    name: str
    base: ArtifactFolder
    candidate: ArtifactFolder
    max_regression: float
    metric: Metric
    limits: Limits
    tested: tuple[Tested | None, Tested | None]
    """What the runs' reports say of base and candidate."""
    device: Device | None = None
    """Where it is measured; None: where the gate is."""
    runtime: str = ""
    """In which; empty: the one that the files are for, where the device has it (`runtime.in_runtime`)."""
    not_compared: str = ""
    """What is lacking where that is another one."""


def open_case(
    base: Path, candidate: Path, *, max_regression: float, metric: Metric, limits: Limits, name: str = "",
    runtime: str = "", force: bool = False,
) -> Case:  # fmt: skip
    """Open both sides; raises `InputError` for files that were changed and, unless forced, for two different things."""
    before, after = open_subject(base, runtime), open_subject(candidate, runtime)
    differing = "" if force else _differing(before.manifest, after.manifest, runtime)
    if differing:
        raise InputError(
            f"{base} and {candidate} are no two versions of one file: {differing}",
            hint="--force compares them all the same",
        )
    reports = tested(before), tested(after)
    name = name or after.manifest.model
    return Case(name, before, after, max_regression, metric, limits, reports, runtime=runtime)


def _differing(was: Artifact, becomes: Artifact, runtime: str) -> str:
    """What makes a change of speed say nothing about the candidate alone; `runtime` is one that was named for both."""
    if (was.model, was.task) != (becomes.model, becomes.task):
        return f"two models, {was.model} ({was.task}) and {becomes.model} ({becomes.task})"
    if was.inputs[0].shape != becomes.inputs[0].shape:
        return f"the inputs differ, {was.inputs[0].shape} and {becomes.inputs[0].shape}"
    if was.format != becomes.format:
        return f"the formats differ, {was.format} and {becomes.format}, so two runtimes would be compared"
    own = {side.runtime for side in (was, becomes) if side.runtime}
    if not runtime and len(own) > 1:
        return f"they are for two runtimes, {' and '.join(sorted(own))}"
    if was.runtime_options != becomes.runtime_options:
        options = (_spelt(side) for side in (was, becomes))
        return f"the runtime's options differ, {' and '.join(options)}"
    return ""


def _spelt(manifest: Artifact) -> str:
    return " ".join(f"{name}={value}" for name, value in sorted(manifest.runtime_options.items())) or "none"
