"""The report of a run, put together from what was found."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from edgekit.exporters.tensorrt_script import NO_ENGINE
from edgekit.metrics import metric_of
from edgekit.pipeline.assess import Assessment, Assessor
from edgekit.pipeline.budget import failures, unlike
from edgekit.pipeline.command import command_line
from edgekit.pipeline.doubts import doubts
from edgekit.pipeline.job import Job
from edgekit.pipeline.rows import latency
from edgekit.pipeline.versions import versions
from edgekit.report import ArtifactSummary, LayerRow, Parity, Report, Rival, Step


def summarize(
    assessor: Assessor,
    sides: Mapping[str, Assessment],
    shipped: Assessment,
    steps: tuple[Step, ...],
    parity: Parity,
) -> Report:
    """Everything that a reader needs to judge a run and to repeat it.

    `sides`: what the last interleaved measurement compared, by role; `steps`: from baseline to export.
    """
    job = assessor.job
    return Report(
        model=_about_model(job, sides["baseline"]),
        target=job.target.model_dump(mode="json"),
        recipe=job.recipe.model_dump(mode="json"),
        data=_about_data(job),
        seed=job.request.seed,
        versions=versions(),
        steps=tuple(
            step.model_copy(update={"reason": f"{step.reason} (random calibration)"}) for step in steps
        )
        if job.random
        else steps,
        layers=_layers(shipped),
        rivals=_rivals(sides, shipped),
        parity=parity,
        artifact=_about_artifact(job, shipped, on_target=assessor.place.on_target),
        profile=shipped.profile.summary() if shipped.profile else None,
        command=command_line(job.request),
        budget_failures=(
            *failures(job.recipe.budget, steps[0], steps[-1], metric=metric_of(job.entry.task).name),
            *unlike(parity),
        ),
        warnings=tuple(doubts(assessor, shipped, steps, parity)),
    )


def _layers(shipped: Assessment) -> tuple[LayerRow, ...]:
    return tuple(
        LayerRow(
            name=layer.name,
            operator=layer.operator,
            output_shape=layer.output_shape,
            params=layer.params,
            macs=layer.macs,
            memory_access_bytes=layer.memory_access_bytes,
            receptive_field=layer.receptive_field,
            sparsity=shipped.model.sparsity.get(layer.name),
        )
        for layer in shipped.cost.layers
    )


def _rivals(sides: Mapping[str, Assessment], shipped: Assessment) -> tuple[Rival, ...]:
    """Each file once, in the precision that ran fastest."""
    names = {"baseline": "unpruned baseline", "float": "the same network in float", "shipped": "INT8"}
    files: dict[str, str] = {}
    for name, side in sides.items():
        files.setdefault(side.artifact.sha256, name)
    own = shipped.artifact.sha256
    return tuple(_rival(names[name], sides[name], ships=digest == own) for digest, name in files.items())


def _rival(name: str, side: Assessment, *, ships: bool) -> Rival:
    ran = (
        "int8"
        if side.model.quantization
        else side.profile.executed.float_precision
        if side.profile
        else "unknown"
    )
    return Rival(
        name=name,
        precision=ran,
        latency_ms=latency(side.profile),
        val_accuracy=side.val_accuracy,
        size_bytes=side.artifact.size_bytes,
        shipped=ships,
        why=side.crashed,
    )


def _about_artifact(job: Job, shipped: Assessment, *, on_target: bool) -> ArtifactSummary:
    """The shipped file; where its engine was built and measured, nobody is told to build it."""
    manifest = shipped.artifact.manifest
    notes, next_steps = manifest.notes, job.target.next_steps
    if on_target and shipped.profile and job.target.runtime == "tensorrt":
        made = "the engine that was measured, its layers' times and the builder's logs are in device/"
        notes = (*(note for note in notes if not note.startswith(NO_ENGINE)), made)
        next_steps = ()
    return ArtifactSummary(
        path=str(shipped.artifact.folder),
        format=manifest.format,
        precision=manifest.precision,
        sha256=shipped.artifact.sha256,
        size_bytes=shipped.artifact.size_bytes,
        compressed_size_bytes=shipped.compressed_size,
        notes=notes,
        next_steps=next_steps,
    )


def _about_model(job: Job, start: Assessment) -> dict[str, Any]:
    return {
        "name": job.entry.name,
        "family": job.entry.family,
        "task": start.model.task,
        "width": job.request.width,
        "input_shape": list(start.model.input_shape),
        "classes": len(job.data.labels) or start.model.source.num_classes,
        "receptive_field": list(start.cost.receptive_field),
        "baseline": start.model.lineage[-1].summary,
    }


def _about_data(job: Job) -> dict[str, Any]:
    data = job.data
    sizes = {
        name: None if part is None else len(part)
        for name, part in (
            ("train", data.train),
            ("val", data.val),
            ("test", data.test),
            ("calibration", data.calibration),
        )
    }
    return {
        "name": data.name,
        "sha256": data.sha256,
        "labels": list(data.labels),
        "demonstration": data.demonstration,
        "skipped": list(data.skipped),
        **sizes,
    }
