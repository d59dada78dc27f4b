"""The end of a run: the file that ships beside its float rival, the proof, the budget, the report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace

from edgekit.metrics import Score
from edgekit.pipeline.assess import Assessment, Assessor
from edgekit.pipeline.folder import RunFolder
from edgekit.pipeline.proof import check_sparsity, prove
from edgekit.pipeline.rows import latency, step_row, val_others
from edgekit.pipeline.summary import summarize
from edgekit.pipeline.verdict import SLOWER, Verdict
from edgekit.report import Report, Step
from edgekit.report_html import write_page
from edgekit.stages.training import outputs, score


def ship(folder: RunFolder, assessor: Assessor, states: list[Assessment], rows: list[Step]) -> Report:
    """Measure the last state beside the best float and the baseline, choose, prove, write everything."""
    began = time.monotonic()
    rival = next(state for state in reversed(states) if state.model.quantization is None)
    sides = assessor.measure({"baseline": states[0], "float": rival, "shipped": states[-1]})
    shipped, rows = _chosen(assessor, sides, rows)
    _place(folder, shipped, sides["float"])
    shipped = replace(shipped, artifact=shipped.artifact.manifest.at(folder.artifact))
    parity = prove(assessor, shipped)
    sparse = check_sparsity(shipped)
    rows, tested = _tested(assessor, states[0], shipped, rows)
    # Both ends of the table come from one interleaved run: what a reader will compare.
    rows = [rows[0].model_copy(update={"latency_ms": latency(sides["baseline"].profile)}), *rows[1:]]
    verdict = Verdict(
        kept=True, reason=f"{shipped.artifact.manifest.precision} {assessor.job.target.format} file"
    )
    last = step_row("export", verdict, shipped, time.monotonic() - began).model_copy(
        update={
            "accuracy": tested.value if tested else None,
            "details": {
                "sparsity_in_file": sparse,
                "runtime_options": dict(shipped.options),
                **val_others(shipped),
                **(tested.others if tested else {}),
            },
        }
    )
    report = summarize(assessor, sides, shipped, (*rows, last), parity)
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
    assessor: Assessor, start: Assessment, shipped: Assessment, rows: list[Step]
) -> tuple[list[Step], Score | None]:
    """The only look at the test split: the baseline in torch, the shipped file in its runtime."""
    data = assessor.job.data
    split = data.test
    logits = assessor.test_outputs(shipped)
    if split is None or logits is None or not data.labelled:
        return rows, None
    task = start.model.task
    before = score(task, outputs(start.model.module, split, assessor.torch_device), split)
    if before is not None:
        told = {"accuracy": before.value, "details": {**rows[0].details, **before.others}}
        rows = [rows[0].model_copy(update=told), *rows[1:]]
    return rows, score(task, logits, split)
