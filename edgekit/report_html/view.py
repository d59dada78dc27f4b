"""What the page's template prints, as text: no arithmetic is left to the template."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from edgekit import report_text as text
from edgekit.facts import NONE, Fact, fact
from edgekit.report import LayerRow, Report, Rival, Step


@dataclass(frozen=True)
class Figure:
    """A number and what it is against the baseline's."""

    value: str
    change: str = ""


@dataclass(frozen=True)
class StepView:
    """One row of the stage table."""

    stage: str
    outcome: str
    kept: bool
    reason: str
    figures: tuple[Figure, ...]
    val_accuracy: str
    accuracy: str
    tested: bool
    fidelity: str
    latency: str
    source: str
    seconds: str
    details: Fact | None


@dataclass(frozen=True)
class RivalView:
    """One row of the rivals' table."""

    name: str
    precision: str
    latency: str
    source: str
    val_accuracy: str
    size: str
    shipped: bool
    why: str


@dataclass(frozen=True)
class LayerView:
    """One row of the layer table."""

    name: str
    operator: str
    output: str
    params: str
    macs: str
    memory_access: str
    receptive_field: str
    sparsity: str


def step_views(report: Report) -> list[StepView]:
    """The stage table."""
    return [_step(step, report) for step in report.steps]


def _step(step: Step, report: Report) -> StepView:
    start = report.steps[0]
    figures = (
        Figure(text.count(step.params), text.relative(step.params, start.params)),
        Figure(text.count(step.macs), text.relative(step.macs, start.macs)),
        Figure(
            text.size(step.memory_access_bytes),
            text.relative(step.memory_access_bytes, start.memory_access_bytes),
        ),
        Figure(text.size(step.size_bytes), text.relative(step.size_bytes, start.size_bytes)),
        Figure(
            text.size(step.compressed_size_bytes),
            text.relative(step.compressed_size_bytes, start.compressed_size_bytes),
        ),
    )
    return StepView(
        stage=step.stage,
        outcome=text.outcome(step, report),
        kept=step.kept,
        reason=step.reason,
        figures=figures,
        val_accuracy=text.percent(step.val_accuracy),
        accuracy=text.percent(step.accuracy),
        tested=step.accuracy is not None,
        fidelity=text.decibels(step.fidelity_db),
        latency=text.milliseconds(step.latency_ms),
        source=step.latency_ms.source if step.latency_ms else "",
        seconds=f"{step.seconds:.1f} s",
        details=fact(step.stage, step.details) if step.details else None,
    )


def rival_views(rivals: Sequence[Rival]) -> list[RivalView]:
    """The rivals' table."""
    return [
        RivalView(
            name=rival.name,
            precision=rival.precision,
            latency=text.milliseconds(rival.latency_ms),
            source=rival.latency_ms.source if rival.latency_ms else "",
            val_accuracy=text.percent(rival.val_accuracy),
            size=text.size(rival.size_bytes),
            shipped=rival.shipped,
            why=rival.why,
        )
        for rival in rivals
    ]


def layer_views(layers: Sequence[LayerRow]) -> list[LayerView]:
    """The layer table."""
    return [
        LayerView(
            name=row.name or NONE,
            operator=row.operator,
            output=" × ".join(str(size) for size in row.output_shape),
            params=f"{row.params:,}",
            macs=f"{row.macs:,}",
            memory_access=text.size(row.memory_access_bytes),
            receptive_field=f"{row.receptive_field[0]} × {row.receptive_field[1]}",
            sparsity=row.sparsity or NONE,
        )
        for row in layers
    ]
