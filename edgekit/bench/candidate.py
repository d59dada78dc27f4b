"""`Candidate`: one file in one runtime, what a device is asked to do with it, how its failures are told."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, TypeVar

from edgekit import runtimes
from edgekit.devices import Answer, Device, Failure, Job
from edgekit.errors import InputError, MeasurementError, MissingError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from edgekit.artifact import ArtifactFolder

Value = TypeVar("Value")


@dataclass(frozen=True)
class Candidate:
    """One file in one runtime, with the options (named by the runtime's file) that it is run with."""

    name: str
    artifact: ArtifactFolder
    runtime: str
    options: Mapping[str, str] = field(default_factory=dict)


def float_candidates(artifact: ArtifactFolder, runtime: str, device: Device) -> list[Candidate]:
    """A float file in every precision that the runtime has for it on the device, named after the precision.

    OpenVINO has bf16 beside f32 where the processor computes in it, and takes it unasked: an INT8 file must
    be held against the best of them. TensorRT takes the precision from the file: f16 is the artifact's FP16 file.
    Raises `MissingError` where the runtime is not installed.
    """
    offered = precisions(runtime, device)
    if "precision" in runtimes.find(runtime).options:
        return [Candidate(precision, artifact, runtime, {"precision": precision}) for precision in offered]
    own = Candidate(artifact.manifest.precision.replace("fp", "f"), artifact, runtime)
    rivals = {precision: artifact.rival(precision.replace("f", "fp")) for precision in offered}
    return [own, *(Candidate(name, rival, runtime) for name, rival in rivals.items() if rival)]


def precisions(runtime: str, device: Device) -> list[str]:
    """What a float file can run in there; the runtime is tried on its own tiny model.

    Raises `MissingError` where it is not installed, `MeasurementError` where it fails.
    """
    found = runtimes.find(runtime)
    outcome = device.call(Job("probe", found.file, timeout_s=found.probe_seconds))
    return list(succeeded(installed(outcome, runtime), runtime).values["precisions"])


def job(
    mode: Literal["latency", "predict", "layers"],
    candidate: Candidate,
    *,
    threads: int,
    timeout_s: float,
    limits: Mapping[str, float],
    keep: bool = False,
) -> Job:
    """What the device is asked to do, and whether it gives back what the runtime made.

    Raises `InputError` where runtime, file and options do not fit.
    """
    runtime = runtimes.find(candidate.runtime)
    artifact = candidate.artifact
    model = artifact.model_path
    if model.suffix.lstrip(".") not in runtime.formats:
        opens = ", ".join(runtime.formats)
        raise InputError(f"{runtime.name} does not open {model.name}", hint=f"it opens: {opens}")
    manifest = artifact.manifest
    told = {
        "layout": manifest.inputs[0].layout,
        "output_layout": manifest.outputs[0].layout,
        "input": manifest.inputs[0].name,
    }
    options = {name: told[name] for name in told if name in runtime.options} | dict(candidate.options)
    if wrong := sorted(options.keys() - set(runtime.options)):
        known = ", ".join(runtime.options)
        raise InputError(f"{runtime.name} has no option {', '.join(wrong)}", hint=f"it has: {known}")
    beside = (path for path in artifact.model_files if path != model)
    batch = manifest.inputs[0].shape[0]
    limit_s = timeout_s + runtime.open_seconds
    return Job(mode, runtime.file, (model, *beside), threads, options, limits, limit_s, batch, keep)


def installed(outcome: Answer | Failure, runtime: str) -> Answer | Failure:
    """The outcome; raises `MissingError` with what brings it where a package was missing on the device."""
    if isinstance(outcome, Failure) and outcome.kind == "missing":
        numpy = outcome.reason == "numpy"  # the runner's own, before any runtime is loaded
        raise MissingError(
            f"{outcome.reason} is not installed, and {runtime} needs it",
            hint=f"{outcome.install or 'pip install'} numpy"
            if numpy
            else runtimes.find(runtime).mend(outcome.install),
        )
    return outcome


def succeeded(outcome: Value | Failure, name: str) -> Value:
    """The outcome; raises `MeasurementError` with what happened where it is a failure."""
    if isinstance(outcome, Failure):
        raise MeasurementError(f"{name}: {outcome.reason}")
    return outcome
