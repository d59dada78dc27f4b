"""Rows of the stage table."""

from __future__ import annotations

from edgekit.measurement import Profile
from edgekit.pipeline.assess import Assessment
from edgekit.pipeline.verdict import Verdict
from edgekit.report import Latency, Step


def step_row(stage: str, verdict: Verdict, state: Assessment, seconds: float, *, tried: bool = True) -> Step:
    """The row of a stage that gave `state`; without `tried` it gave nothing, and `state` is the one before."""
    event = state.model.lineage[-1] if tried and state.model.lineage else None
    return Step(
        stage=stage,
        kept=verdict.kept,
        reason=verdict.reason,
        seconds=round(seconds, 2),
        params=state.cost.params,
        macs=state.cost.macs,
        memory_access_bytes=state.cost.memory_access_bytes,
        size_bytes=state.artifact.size_bytes,
        compressed_size_bytes=state.compressed_size,
        val_accuracy=state.val_accuracy,
        fidelity_db=state.fidelity_db,
        latency_ms=latency(state.profile),
        details={"summary": event.summary, **event.details, **val_others(state)} if event else {},
    )


def val_others(state: Assessment) -> dict[str, float]:
    """What the metric tells beside `val_accuracy`, by the names that a row's details give it."""
    return {f"val_{name}": value for name, value in state.val_others.items()}


def latency(profile: Profile | None) -> Latency | None:
    """The statistics that a row gives, with where they come from."""
    if profile is None:
        return None
    tail = None if profile.of_processes else profile.p99_ms
    return Latency(p50=profile.p50_ms, p90=profile.p90_ms, p99=tail, source=profile.where)
