"""The end of a run: the file that ships beside its float rival, the proof, the budget, the report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from edgekit.bench import disturbance
from edgekit.pipeline.assess import Assessment, Assessor
from edgekit.pipeline.command import command_line
from edgekit.pipeline.folder import RunFolder
from edgekit.pipeline.job import Job
from edgekit.pipeline.proof import check_sparsity, prove
from edgekit.pipeline.rows import latency, step_row
from edgekit.pipeline.verdict import SLOWER, Verdict
from edgekit.pipeline.versions import versions
from edgekit.report import ArtifactSummary, LayerRow, Report, Rival, Step
from edgekit.report_html import write_page
from edgekit.stages.training import accuracy, outputs


def ship(
    job: Job, folder: RunFolder, assessor: Assessor, states: list[Assessment], rows: list[Step]
) -> Report:
    """Measure the last state beside the best float and the baseline, choose, prove, write everything."""
    began = time.monotonic()
    rival = next(state for state in reversed(states) if state.model.quantization is None)
    sides = assessor.measure({"baseline": states[0], "float": rival, "shipped": states[-1]})
    shipped, rows = _chosen(assessor, sides, rows)
    _place(folder, shipped, sides["float"])
    shipped = replace(shipped, artifact=shipped.artifact.manifest.at(folder.artifact))
    parity = prove(assessor, shipped)
    sparse = check_sparsity(shipped)
    rows, tested = _tested(job, assessor, states[0], shipped, rows)
    # Both ends of the table come from one interleaved run: what a reader will compare.
    rows = [rows[0].model_copy(update={"latency_ms": latency(sides["baseline"].profile)}), *rows[1:]]
    verdict = Verdict(kept=True, reason=f"{shipped.artifact.manifest.precision} {job.target.format} file")
    last = step_row("export", verdict, shipped, time.monotonic() - began).model_copy(
        update={
            "accuracy": tested,
            "details": {"sparsity_in_file": sparse, "runtime_options": dict(shipped.options)},
        }
    )
    report = Report(
        model=_about_model(job, states[0]),
        target=job.target.model_dump(mode="json"),
        recipe=job.recipe.model_dump(mode="json"),
        data=_about_data(job),
        seed=job.request.seed,
        versions=versions(),
        steps=(*rows, last),
        layers=_layers(shipped),
        rivals=_rivals(sides, shipped),
        parity=parity,
        artifact=_about_artifact(job, shipped),
        profile=shipped.profile.summary() if shipped.profile else None,
        command=command_line(job.request),
        budget_failures=_failures(job, rows[0], last),
        warnings=_warnings(job, assessor, shipped),
    )
    write_page(report, folder.path)
    report.write(folder.path)
    return report


def _chosen(
    assessor: Assessor, sides: Mapping[str, Assessment], rows: list[Step]
) -> tuple[Assessment, list[Step]]:
    """On the target itself the faster file ships: INT8 that lost to the best float in this last run goes."""
    shipped, rival = sides["shipped"], sides["float"]
    quick, best = shipped.profile, rival.profile
    if not (
        assessor.on_target
        and shipped.model.quantization
        and quick
        and best
        and quick.p50_ms > SLOWER * best.p50_ms
    ):
        return shipped, rows
    reason = f"the best float was measured faster: p50 {best.p50_ms:.3f} ms against {quick.p50_ms:.3f} ms"
    return rival, [
        row.model_copy(update={"kept": False, "reason": reason}) if row.stage == "quantize" else row
        for row in rows
    ]


def _place(folder: RunFolder, shipped: Assessment, rival: Assessment) -> None:
    """The shipped files in `artifact/`, the float rival's beside them in `artifact/float/`."""
    shutil.rmtree(folder.artifact, ignore_errors=True)
    shutil.copytree(shipped.artifact.folder, folder.artifact)
    told = {"runtime_options": dict(shipped.options)}
    shipped.artifact.manifest.model_copy(update=told).at(folder.artifact).write()
    if shipped.model.quantization:
        shutil.copytree(rival.artifact.folder, folder.artifact / "float")


def _tested(
    job: Job, assessor: Assessor, start: Assessment, shipped: Assessment, rows: list[Step]
) -> tuple[list[Step], float | None]:
    """The only look at the test split: the baseline in torch, the shipped file in its runtime."""
    split = job.data.test
    logits = assessor.test_outputs(shipped)
    if split is None or logits is None or not job.data.labelled:
        return rows, None
    before = accuracy(outputs(start.model.module, split, assessor.torch_device), split)
    return [rows[0].model_copy(update={"accuracy": before}), *rows[1:]], accuracy(logits, split)


def _failures(job: Job, first: Step, last: Step) -> tuple[str, ...]:
    """Each budget that the shipped file misses, with what was reached instead."""
    budget, found = job.recipe.budget, []
    if budget.accuracy_drop is not None and first.accuracy is not None and last.accuracy is not None:
        drop = 100 * (first.accuracy - last.accuracy)
        if drop > budget.accuracy_drop + 1e-9:
            found.append(
                f"accuracy drop {drop:.2f} points on the test split, budget {budget.accuracy_drop:g}"
            )
    if budget.macs is not None:
        allowed = budget.macs * first.macs if budget.macs <= 1 else budget.macs
        if last.macs > allowed:
            found.append(
                f"{last.macs:,} MACs ({last.macs / first.macs:.2f} of the baseline), budget {int(allowed):,}"
            )
    if budget.latency_ms is not None:
        found.extend(_latency_failure(budget.latency_ms, last))
    if budget.size_bytes is not None and (last.size_bytes or 0) > budget.size_bytes:
        found.append(f"{last.size_bytes:,} bytes, budget {budget.size_bytes:,}")
    return tuple(found)


def _latency_failure(allowed_ms: float, last: Step) -> list[str]:
    """A latency budget is the device's: a proxy can neither keep nor miss it."""
    if last.latency_ms is None or not last.latency_ms.source.startswith("measured"):
        return [
            f"latency budget {allowed_ms:g} ms: not measured on the target, so nothing shows that it is kept"
        ]
    return (
        [f"p50 {last.latency_ms.p50:.3f} ms, budget {allowed_ms:g} ms"]
        if last.latency_ms.p50 > allowed_ms
        else []
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
        files.setdefault(side.artifact.manifest.sha256[side.artifact.manifest.model_file], name)
    own = shipped.artifact.manifest.sha256[shipped.artifact.manifest.model_file]
    return tuple(_rival(names[name], sides[name], ships=digest == own) for digest, name in files.items())


def _rival(name: str, side: Assessment, *, ships: bool) -> Rival:
    ran = (
        "int8" if side.model.quantization else side.profile.executed.precision if side.profile else "unknown"
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


def _about_artifact(job: Job, shipped: Assessment) -> ArtifactSummary:
    manifest = shipped.artifact.manifest
    return ArtifactSummary(
        path=str(shipped.artifact.folder),
        format=manifest.format,
        precision=manifest.precision,
        sha256=manifest.sha256[manifest.model_file],
        size_bytes=shipped.artifact.size_bytes,
        compressed_size_bytes=shipped.compressed_size,
        notes=manifest.notes,
        next_steps=job.target.next_steps,
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


def _warnings(job: Job, assessor: Assessor, shipped: Assessment) -> tuple[str, ...]:
    found = []
    if job.data.demonstration:
        found.append(
            "trained on built-in demonstration data (handwritten digits): give your own with --data DIR"
        )
    if job.random:
        found.append("random calibration: latency and size only, nothing is said about accuracy")
    profile = shipped.profile
    if profile and (noise := disturbance(profile.before, profile.after)):
        found.append(f"the machine was not quiet while latency was measured: {noise}")
    if not assessor.on_target:
        found.append(
            f"{job.target.title} was not at hand: latencies are {assessor.runtime}'s on this machine, "
            "a proxy that decided nothing"
        )
        ran = profile.executed if profile and shipped.model.quantization else None
        if ran and ran.float_operators:
            found.append(
                f"{assessor.runtime} ran {ran.integer_operators} of {ran.integer_operators + ran.float_operators} "
                f"convolutions and linear layers on integers: the file is laid out for {job.target.runtime}'s "
                "kernels, so its speed here says nothing about the device"
            )
    return tuple(found)
