"""The gate: pairs are measured until the plan decides or the time is up."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median

from edgekit.bench import Candidate
from edgekit.devices import Device, answering
from edgekit.errors import EdgekitError, MeasurementError, MissingError
from edgekit.gate.case import Case
from edgekit.gate.checks import checks, measured_parity
from edgekit.gate.interval import Interval
from edgekit.gate.pairs import Block, Metric, Pair, measured_pairs
from edgekit.gate.plan import Decision, Plan
from edgekit.gate.result import CaseResult, Side, Verdict
from edgekit.gate.subject import candidate_of
from edgekit.progress import Progress

OTHER: dict[Metric, Metric] = {"p50": "p90", "p90": "p50"}


@dataclass
class Watch:
    """What is measured so far, and what became of it."""

    device: str
    fingerprint: Mapping[str, str]
    counted: list[Pair] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    decision: Decision = "inconclusive"
    interval: Interval | None = None
    judged: int = 0
    parity: tuple[float | None, float | None] = (None, None)
    answered_by: str = ""
    """The machine whose outputs parity is of, where the device gives none."""
    stopped: EdgekitError | None = None

    def log_ratios(self, metric: Metric) -> list[float]:
        """Of the pairs that count."""
        return [pair.log_ratio(metric) for pair in self.counted]


def run_case(
    case: Case, plan: Plan, device: Device, *, told: Mapping[str, str], threads: int, max_seconds: float,
    progress: Progress, slowdown: float = 0.0,
) -> CaseResult:  # fmt: skip
    """Measure a case until it is decided; `max_seconds` bounds the time, and then it stays inconclusive.

    `told` is the device's fingerprint. A device that goes away half-way or a measurement that is invalid stops the
    case: what was measured is in the result.
    """
    began = time.monotonic()
    sides = (
        candidate_of("base", case.base, case.runtime),
        candidate_of("candidate", case.candidate, case.runtime),
    )
    pairs = measured_pairs(*sides, device, threads=threads, slowdown=slowdown)
    watch = Watch(device.name, told)
    try:
        _watch(watch, case, plan, pairs, deadline=began + max_seconds, progress=progress)
        answers = answering(device)
        watch.answered_by = "" if answers is device else answers.name
        base, candidate = (measured_parity(side, answers, threads=threads) for side in sides)
        watch.parity = base, candidate
    except (MissingError, MeasurementError) as error:
        watch.stopped = error
    return _result(case, plan, watch, sides, seconds=time.monotonic() - began)


def _watch(
    watch: Watch, case: Case, plan: Plan, pairs: Iterator[Pair], *, deadline: float, progress: Progress
) -> None:
    with progress.task(f"comparing {case.name}", plan.looks[-1]) as advance:
        while watch.decision == "inconclusive" and len(watch.counted) < plan.looks[-1]:
            if time.monotonic() > deadline:
                break
            pair = next(pairs)
            if pair.disturbance:
                watch.set_aside.append(pair.disturbance)
                continue
            watch.counted.append(pair)
            advance()
            if len(watch.counted) in plan.looks:
                watch.judged = len(watch.counted)
                watch.decision, watch.interval = plan.judge(watch.log_ratios(case.metric))


def _result(
    case: Case, plan: Plan, watch: Watch, sides: tuple[Candidate, Candidate], *, seconds: float
) -> CaseResult:
    found, not_compared = checks(case, watch.counted, watch.parity)
    verdict, reason = _verdict(case, plan, watch, [check.name for check in found if not check.kept])
    ratios = {metric: tuple(watch.log_ratios(metric)) for metric in OTHER}
    judged = watch.judged or len(watch.counted)
    return CaseResult(
        name=case.name,
        device=watch.device,
        fingerprint=watch.fingerprint,
        verdict=verdict,
        reason=reason,
        metric=case.metric,
        stop_code=watch.stopped.exit_code if watch.stopped and verdict == "stopped" else None,
        plan=plan,
        base=_side(sides[0], [pair.base for pair in watch.counted]),
        candidate=_side(sides[1], [pair.candidate for pair in watch.counted]),
        slowdown=watch.interval,
        beside=plan.judge(ratios[OTHER[case.metric]][:judged])[1] if judged >= 3 else None,
        smallest_visible=plan.threshold + watch.interval.half_width if watch.interval else None,
        pairs=len(watch.counted),
        judged=watch.judged,
        set_aside=tuple(watch.set_aside),
        checks=found,
        not_compared=(*not_compared, *_not_of_the_device(watch, case)),
        log_ratios=ratios,
        seconds=round(seconds, 1),
    )


def _verdict(case: Case, plan: Plan, watch: Watch, broken: Sequence[str]) -> tuple[Verdict, str]:
    if watch.decision == "fail":  # whatever came after that: it is slower
        return "fail", f"{case.metric} is over the threshold of {plan.threshold:.1%}"
    if watch.stopped:
        return "stopped", str(watch.stopped)
    if broken:
        return "fail", f"beside speed: {', '.join(broken)}"
    if watch.decision == "pass":
        return "pass", f"{case.metric} is under the threshold of {plan.threshold:.1%}"
    if not watch.judged:
        return "inconclusive", (
            f"{len(watch.counted)} pairs counted, {len(watch.set_aside)} were disturbed, "
            f"and {plan.looks[0]} are needed"
        )
    return "inconclusive", f"{watch.judged} pairs leave the threshold inside the interval"


def _not_of_the_device(watch: Watch, case: Case) -> Iterator[str]:
    if case.not_compared:
        yield case.not_compared
    if watch.answered_by:
        yield f"outputs of the device, which gives none: parity_db is that of {watch.answered_by}"


def _side(side: Candidate, blocks: Sequence[Block]) -> Side:
    manifest = side.artifact.manifest
    return Side(
        artifact=str(side.artifact.folder),
        model=manifest.model,
        precision=manifest.precision,
        sha256=side.artifact.sha256,
        runtime=f"{side.runtime} {blocks[0].version}" if blocks else side.runtime,
        options=dict(side.options),
        p50_ms=median(block.percentile_ms("p50") for block in blocks) if blocks else None,
        p90_ms=median(block.percentile_ms("p90") for block in blocks) if blocks else None,
    )
