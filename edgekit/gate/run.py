"""The gate: pairs are measured until the plan decides or the time is up."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import median

from edgekit.artifact import ArtifactFolder
from edgekit.bench import Candidate, Protocol
from edgekit.devices import Device
from edgekit.errors import MeasurementError, MissingError
from edgekit.gate.case import Case
from edgekit.gate.checks import checks
from edgekit.gate.interval import Interval
from edgekit.gate.pairs import SHORT, Block, Metric, Pair, measured_pairs
from edgekit.gate.plan import Decision, Plan
from edgekit.gate.result import CaseResult, Side, Verdict
from edgekit.progress import Progress

RUNTIME_OF = {"onnx": "onnxruntime", "openvino": "openvino", "tflite": "litert"}
OTHER: dict[Metric, Metric] = {"p50": "p90", "p90": "p50"}


@dataclass
class Watch:
    """What is measured so far, and what became of it."""

    counted: list[Pair] = field(default_factory=list)
    set_aside: list[str] = field(default_factory=list)
    decision: Decision = "inconclusive"
    interval: Interval | None = None
    stopped: str = ""

    def log_ratios(self, metric: Metric) -> list[float]:
        """Of the pairs that count."""
        return [pair.log_ratio(metric) for pair in self.counted]


def run_case(
    case: Case, plan: Plan, device: Device, *, threads: int, max_seconds: float, progress: Progress,
    protocol: Protocol = SHORT, slowdown: float = 0.0,
) -> CaseResult:  # fmt: skip
    """Measure a case until it is decided; `max_seconds` bounds the time, and then it stays inconclusive.

    A device that goes away half-way stops the case: what was measured is in the result.
    """
    began = time.monotonic()
    pairs = measured_pairs(
        candidate_of("base", case.base), candidate_of("candidate", case.candidate), device,
        threads=threads, protocol=protocol, slowdown=slowdown,
    )  # fmt: skip
    watch = _watched(case, plan, pairs, deadline=began + max_seconds, progress=progress)
    found = checks(case, watch.counted)
    verdict, reason = _verdict(case, plan, watch, [check.name for check in found if not check.kept])
    ratios = {metric: tuple(watch.log_ratios(metric)) for metric in OTHER}
    enough = len(watch.counted) >= 3
    return CaseResult(
        name=case.name,
        verdict=verdict,
        reason=reason,
        metric=case.metric,
        runtime=_runtime(case, watch.counted),
        plan=plan,
        base=_side(case.base, [pair.base for pair in watch.counted]),
        candidate=_side(case.candidate, [pair.candidate for pair in watch.counted]),
        slowdown=watch.interval,
        beside=plan.judge(ratios[OTHER[case.metric]])[1] if enough else None,
        smallest_visible=plan.threshold + watch.interval.half_width if watch.interval else None,
        pairs=len(watch.counted),
        set_aside=tuple(watch.set_aside),
        checks=found,
        log_ratios=ratios,
        seconds=round(time.monotonic() - began, 1),
    )


def _watched(case: Case, plan: Plan, pairs: Iterator[Pair], *, deadline: float, progress: Progress) -> Watch:
    watch = Watch()
    with progress.task(f"comparing {case.name}", plan.looks[-1]) as advance:
        while watch.decision == "inconclusive" and len(watch.counted) < plan.looks[-1]:
            if time.monotonic() > deadline:
                break
            try:
                pair = next(pairs)
            except (MissingError, MeasurementError) as error:
                watch.stopped = str(error)
                break
            if pair.disturbance:
                watch.set_aside.append(pair.disturbance)
                continue
            watch.counted.append(pair)
            advance()
            if len(watch.counted) in plan.looks:
                watch.decision, watch.interval = plan.judge(watch.log_ratios(case.metric))
    return watch


def _verdict(case: Case, plan: Plan, watch: Watch, broken: Sequence[str]) -> tuple[Verdict, str]:
    if watch.stopped:
        return "stopped", watch.stopped
    if watch.decision == "fail":
        return "fail", f"{case.metric} is over the threshold of {plan.threshold:.1%}"
    if broken:
        return "fail", f"beside speed: {', '.join(broken)}"
    if watch.decision == "pass":
        return "pass", f"{case.metric} is under the threshold of {plan.threshold:.1%}"
    if len(watch.counted) < plan.looks[0]:
        return "inconclusive", (
            f"{len(watch.counted)} pairs counted, {len(watch.set_aside)} were disturbed, "
            f"and {plan.looks[0]} are needed"
        )
    return "inconclusive", f"{len(watch.counted)} pairs leave the threshold inside the interval"


def _runtime(case: Case, counted: Sequence[Pair]) -> str:
    manifest = case.candidate.manifest
    version = counted[0].candidate.version if counted else "version unknown"
    options = " ".join(f"{name}={value}" for name, value in sorted(manifest.runtime_options.items()))
    return f"{RUNTIME_OF[manifest.format]} {version} {options}".strip()


def candidate_of(name: str, artifact: ArtifactFolder) -> Candidate:
    """An artifact in the runtime of its format, as its manifest says that it runs."""
    manifest = artifact.manifest
    return Candidate(name, artifact, RUNTIME_OF[manifest.format], dict(manifest.runtime_options))


def _side(artifact: ArtifactFolder, blocks: Sequence[Block]) -> Side:
    manifest = artifact.manifest
    return Side(
        artifact=str(artifact.folder),
        model=manifest.model,
        precision=manifest.precision,
        sha256=manifest.sha256[manifest.model_file],
        p50_ms=median(block.percentile_ms("p50") for block in blocks) if blocks else None,
        p90_ms=median(block.percentile_ms("p90") for block in blocks) if blocks else None,
    )
