"""The end of a run: the file that ships beside its float rival, the proof, the budget, the report."""

from __future__ import annotations

import shutil
import time
from collections.abc import Mapping
from dataclasses import replace

from edgekit.errors import BudgetError
from edgekit.files import new_folder
from edgekit.measurement import SLOWER
from edgekit.metrics import Score
from edgekit.pipeline.assess import Assessment, Assessor
from edgekit.pipeline.bundling import bundle_run
from edgekit.pipeline.folder import Record, RunFolder
from edgekit.pipeline.layer_times import times_of
from edgekit.pipeline.proof import check_sparsity, prove
from edgekit.pipeline.rows import latency, step_row, val_others
from edgekit.pipeline.summary import summarize
from edgekit.pipeline.verdict import Verdict
from edgekit.report import Report, Step
from edgekit.report_html import write_page
from edgekit.stages.training import outputs, score


def ship(folder: RunFolder, assessor: Assessor, states: list[Assessment], rows: list[Step]) -> Report:
    """Measure the last state beside the best float and the baseline, choose, prove, write everything."""
    began = time.monotonic()
    rival = next(state for state in reversed(states) if state.model.quantization is None)
    roles = {"baseline": states[0], "float": rival, "shipped": states[-1]}
    sides = assessor.measure(roles, keep=folder.path / "device")
    shipped, rows = _chosen(folder, assessor, sides, rows)
    _refuse_float(assessor, shipped, rows)
    parity = prove(assessor, shipped)
    sparse = check_sparsity(shipped)
    shipped = _placed(folder, shipped, sides["float"], manifest_options(assessor, shipped))
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
    report = summarize(assessor, sides, shipped, (*rows, last), parity).model_copy(
        update={"layer_times": times_of(assessor, shipped)}
    )
    write_page(report, folder.path)
    report.write(folder.path)
    if assessor.job.bundled:  # last: where it fails the run is finished, and --resume writes the bundle alone
        assessor.progress.say("writing the bundle")
        bundle_run(report, shipped.artifact, lambda: shipped.model, assessor.job.target, folder.path)
    return report


def _chosen(
    folder: RunFolder, assessor: Assessor, sides: Mapping[str, Assessment], rows: list[Step]
) -> tuple[Assessment, list[Step]]:
    """INT8 that failed in this last run goes, and on the target itself INT8 that lost to the best float.

    It goes as a stage does that is rolled back: a run that is resumed from here, or loaded, knows it.
    """
    shipped, rival = sides["shipped"], sides["float"]
    reason = shipped.crashed or (_lost(shipped, rival) if assessor.place.on_target else "")
    if shipped.model.quantization is None or not reason:
        return shipped, rows
    place = max(index for index, row in enumerate(rows) if row.stage == "quantize" and row.kept)
    row = rows[place].model_copy(update={"kept": False, "reason": reason})
    folder.finish(place, "quantize", Record(step=row), None)
    return rival, [*rows[:place], row, *rows[place + 1 :]]


def _refuse_float(assessor: Assessor, shipped: Assessment, rows: list[Step]) -> None:
    """Raise `BudgetError` where INT8 was given up and the target takes nothing else."""
    target = assessor.job.target
    if not target.integer_only or shipped.model.quantization is not None:
        return
    why = next((row.reason for row in reversed(rows) if row.stage == "quantize"), "it was not reached")
    raise BudgetError(
        f"{target.id} takes INT8 files alone, and INT8 was given up: {why}",
        hint="allow a larger --max-accuracy-drop, or choose a recipe that trains with quantization",
    )


def _lost(shipped: Assessment, rival: Assessment) -> str:
    quick, best = shipped.profile, rival.profile
    if not (quick and best and quick.p50_ms > SLOWER * best.p50_ms):
        return ""
    return f"the best float was measured faster: p50 {best.p50_ms:.3f} ms against {quick.p50_ms:.3f} ms"


def manifest_options(assessor: Assessor, shipped: Assessment) -> dict[str, str]:
    """What the manifest remembers: options of the runtime that opens the format anywhere, as its readers do.

    Those of a measurement in another one (TensorRT) are in the report.
    """
    if assessor.place.runtime == assessor.here.runtime:
        return dict(shipped.options)
    return assessor.options_here(shipped)


def _placed(
    folder: RunFolder, shipped: Assessment, rival: Assessment, options: Mapping[str, str]
) -> Assessment:
    """The shipped files in `artifact/`, the float rival's beside them in `artifact/float/`, all at once."""
    manifest = shipped.artifact.manifest.model_copy(update={"runtime_options": options})
    with new_folder(folder.artifact) as temporary:
        shutil.copytree(shipped.artifact.folder, temporary, dirs_exist_ok=True)
        manifest.at(temporary).write()
        if shipped.model.quantization:
            shutil.copytree(rival.artifact.folder, temporary / "float")
    return replace(shipped, artifact=manifest.at(folder.artifact))


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
