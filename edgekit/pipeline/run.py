"""`compress`: the recipe's stages in order, each judged, each recorded, none regretted."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from edgekit.artifact import load_artifact
from edgekit.metrics import metric_of
from edgekit.model import Model
from edgekit.pipeline.assess import Assessment, Assessor
from edgekit.pipeline.baseline import baseline, torch_device
from edgekit.pipeline.bundling import bundle_run, has_bundle
from edgekit.pipeline.departing import failed
from edgekit.pipeline.folder import Record, RunFolder, is_finished, run_folder
from edgekit.pipeline.job import Job
from edgekit.pipeline.loading import load
from edgekit.pipeline.plan import plan
from edgekit.pipeline.rows import step_row
from edgekit.pipeline.ship import ship
from edgekit.pipeline.timing import Timings
from edgekit.pipeline.verdict import OPEN, SETTLED, WITHDRAWN, Verdict, judge, judge_prepared
from edgekit.progress import Progress, Silent
from edgekit.recipe import Stage as Options
from edgekit.recipe import trains_channels
from edgekit.report import Report, Step, load_report
from edgekit.stages import Context, Departure, RejectedError, stage
from edgekit.stages.training import follow as train_along
from edgekit.stages.training import leading


@dataclass(frozen=True)
class Run:
    """A finished run."""

    report: Report
    folder: Path


def compress(job: Job, progress: Progress | None = None) -> Run:
    """Run a job to its artifact and report, in the job's folder.

    Raises the errors of `edgekit.errors`; whatever ends it, the folder holds whole files only and can be
    resumed. A missed budget is in `report.budget_failures`. The first of several processes runs it; the others
    take part in its trainings with `follow`.
    """
    progress = progress or Silent()
    with leading(job.data, torch_device()), run_folder(job) as folder:
        if is_finished(folder.path):
            progress.say(f"{folder.path} holds a finished run")
            report = load_report(folder.path)
            if job.bundled and not has_bundle(folder.path):
                progress.say("writing its bundle")
                shipped = load_artifact(folder.path)
                bundle_run(report, shipped, lambda: load(folder.path), job.target, folder.path)
            return Run(report, folder.path)
        for line in plan(job):
            progress.say(line)
        return Run(_Runner(job, folder, progress).run(), folder.path)


def follow(job: Job) -> None:
    """In every process of a launch but the first: train along until its run is over."""
    train_along(job.data, torch_device())


class _Runner:
    def __init__(self, job: Job, folder: RunFolder, progress: Progress) -> None:
        self.job, self.folder, self.progress = job, folder, progress
        self.assessor = Assessor(job, folder.candidates, torch_device(), progress)
        self.stages = job.recipe.stages
        self.rows: dict[int, Step] = {}
        self.states: dict[int, Assessment] = {}
        """States before each stage: `states[0]` is the baseline, `states[i + 1]` what stage i left."""

    def run(self) -> Report:
        self.states[0] = self._start()
        provisional: list[int] = []
        index = 0
        while index < len(self.stages):
            record = self._finished(index) or self._do(index)
            if record.provisional:
                provisional.append(index)
            if not record.step.kept:
                provisional = self._withdraw(index, provisional)
            if self.stages[index].kind == "recover" and provisional:
                if self._within(self.states[index + 1]):
                    self._settle(provisional)
                    provisional.clear()
                else:
                    index = self._roll_back(provisional.pop(), self.states[index + 1])
                    provisional = self._withdraw(index, provisional)
            index += 1
        states = [self.states[place] for place in sorted(self.states)]
        rows = [self.rows[place] for place in sorted(self.rows)]
        return ship(self.folder, self.assessor, states, rows)

    @property
    def floor(self) -> float | None:
        """The least accuracy that the budget allows on the decision split."""
        drop, accuracy = self.job.recipe.budget.accuracy_drop, self.states[0].val_accuracy
        return None if drop is None or accuracy is None else accuracy - drop / 100

    def _within(self, state: Assessment) -> bool:
        return self.floor is None or state.val_accuracy is None or state.val_accuracy >= self.floor

    def _start(self) -> Assessment:
        """Row -1: the baseline; trained, loaded, or taken from the run's own checkpoint."""
        began = time.monotonic()
        record = self.folder.finished(0, "baseline")
        model = self.folder.model(0, "baseline") if record else baseline(self.job, self.progress)
        state = self.assessor.assess(model, "00-baseline", in_runtime=False)
        if record is None:
            state = self.assessor.measure({"baseline": state})["baseline"]
            verdict = Verdict(kept=True, reason=model.lineage[-1].summary)
            record = Record(step=step_row("baseline", verdict, state, time.monotonic() - began))
            self.folder.finish(0, "baseline", record, model)
        self.rows[-1] = record.step
        return state

    def _finished(self, index: int) -> Record | None:
        """A stage that an interrupted run finished: its decision stands."""
        kind = self.stages[index].kind
        record = self.folder.finished(index + 1, kind)
        if record is None:
            return None
        self.progress.say(f"{kind}: finished before, {'kept' if record.step.kept else 'rolled back'}")
        self.rows[index] = record.step
        self.states[index + 1] = self.states[index]
        if record.step.kept:
            self.states[index + 1] = self._assess(self.folder.model(index + 1, kind), index)
        return record

    def _do(self, index: int) -> Record:
        """Apply a stage, judge it, write it down."""
        options, before, began = self.stages[index], self.states[index], time.monotonic()
        after = None
        try:
            model = stage(options).apply(before.model, self._context(index))
            candidate = self._assess(model, index)
        except RejectedError as rejected:
            verdict = Verdict(kept=False, reason=str(rejected))
        else:
            sides = self.assessor.measure({"before": before, "after": candidate})
            after = sides["after"]
            verdict = self._judge(index, options, sides)
        step = step_row(
            options.kind, verdict, after or before, time.monotonic() - began, tried=after is not None
        )
        self.states[index + 1] = after if after and verdict.kept else before
        self.rows[index] = step
        self.progress.say(f"{options.kind}: {'kept' if verdict.kept else 'rolled back'}: {verdict.reason}")
        record = Record(step=step, provisional=verdict.provisional)
        self.folder.finish(index + 1, options.kind, record, after.model if after and verdict.kept else None)
        return record

    def _judge(self, index: int, options: Options, sides: Mapping[str, Assessment]) -> Verdict:
        recovers = any(later.kind == "recover" for later in self.stages[index + 1 :])
        # A recovery need only gain: if it falls short of the budget, what it had to recover from is at fault.
        floor = None if options.kind == "recover" else self.floor
        if trains_channels(options):
            return judge_prepared(
                sides["after"].figures,
                sides["after"].model.lineage[-1].summary,
                floor=floor,
                recovery_follows=recovers,
                metric=metric_of(self.job.entry.task).name,
            )
        return judge(
            sides["before"].figures,
            sides["after"].figures,
            counts=options.counts,
            floor=floor,
            on_target=self.assessor.place.on_target,
            recovery_follows=recovers and options.kind in ("sparsify", "prune", "tfmot-prune"),
            metric=metric_of(self.job.entry.task).name,
        )

    def _assess(self, model: Model, index: int) -> Assessment:
        kind = self.stages[index].kind
        return self.assessor.assess(
            model, f"{index + 1:02d}-{kind}", in_runtime=model.quantization is not None
        )

    def _departure(self, model: Model, index: int) -> Departure | None:
        """How far the file of an INT8 network is from it; one that cannot be exported is as far as can be."""
        try:
            return self.assessor.departure(self._assess(model, index))
        except RejectedError as error:
            return failed(str(error))

    def _context(self, index: int) -> Context:
        job = self.job
        return Context(
            data=job.data,
            target=job.target,
            baseline=self.states[0].model,
            accuracy_floor=self.floor,
            seed=job.request.seed + 1000 * (index + 1),
            torch_device=self.assessor.torch_device,
            progress=self.progress,
            measured_accuracy=lambda model: self._assess(model, index).val_accuracy,
            quantizes=any(each.kind == "quantize" for each in self.stages),
            next_prune=job.recipe.next_prune(index),
            file_bytes=lambda model: self._assess(model, index).artifact.size_bytes,
            departure=lambda model: self._departure(model, index),
            timing=Timings(self.assessor, f"{index + 1:02d}-timing")
            if self.assessor.place.on_target
            else None,
        )

    def _settle(self, provisional: list[int]) -> None:
        """Recovery won the accuracy back: what was provisional stays."""
        for place in provisional:
            row = self.rows[place]
            self.rows[place] = row.model_copy(update={"reason": row.reason.replace(OPEN, SETTLED)})

    def _roll_back(self, culprit: int, failed: Assessment) -> int:
        """Undo the last provisional stage and all that came after it; gives the index to go on behind."""
        kind = self.stages[culprit].kind
        accuracy, floor = failed.val_accuracy or 0.0, self.floor or 0.0
        metric = metric_of(self.job.entry.task).name
        reason = f"after recovery {metric} is {100 * accuracy:.2f} %, the budget asks for {100 * floor:.2f} %"
        self.progress.say(f"{kind}: rolled back: {reason}")
        row = self.rows[culprit].model_copy(update={"kept": False, "reason": reason})
        self.folder.forget_from(culprit + 1)
        self.folder.finish(culprit + 1, kind, Record(step=row), None)
        self.rows = {place: step for place, step in self.rows.items() if place < culprit} | {culprit: row}
        self.states = {place: state for place, state in self.states.items() if place <= culprit}
        self.states[culprit + 1] = replace(self.states[culprit])
        return culprit

    def _withdraw(self, index: int, provisional: list[int]) -> list[int]:
        """Undo channels trained for a prune that was rolled back, and what was done to them since.

        Gives those of the provisional stages that are left.
        """
        first = self._prepared(index) if self.stages[index].kind == "prune" else index
        for place in range(first, index):
            if not self.rows[place].kept:  # its own reason stands
                continue
            kind = self.stages[place].kind
            row = self.rows[place].model_copy(update={"kept": False, "reason": WITHDRAWN})
            self.progress.say(f"{kind}: {WITHDRAWN}")
            self.rows[place] = row
            self.folder.finish(place + 1, kind, Record(step=row), None)
        for place in range(first, index + 1):
            self.states[place + 1] = replace(self.states[first])
        return [place for place in provisional if place < first]

    def _prepared(self, prune: int) -> int:
        """The first stage that trained channels for this prune, and none before it; else the prune itself."""
        first = prune
        for place in reversed(range(prune)):
            if self.rows[place].kept and self.stages[place].kind == "prune":
                break
            if self.rows[place].kept and trains_channels(self.stages[place]):
                first = place
        return first
