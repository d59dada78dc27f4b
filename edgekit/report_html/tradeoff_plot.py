"""Accuracy against latency: a point for each step and each rival, with the way to its 90th percentile."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from edgekit.report_html.labels import place_labels
from edgekit.report_html.svg import INK, LINE, MUTED, SERIES, UNITS_PER_INCH, Plot, drawing, inline
from edgekit.report_text import IDENTICAL_DB, metric

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edgekit.report import Latency, Report

WIDTH: Final = 440
HEIGHT: Final = 290
LINE_LENGTH: Final = 70


@dataclass(frozen=True)
class _Kind:
    label: str
    marker: str
    colour: str
    filled: bool


KEPT: Final = _Kind("step, kept", "o", SERIES[0], filled=True)
ROLLED_BACK: Final = _Kind("step, rolled back", "o", MUTED, filled=False)
RIVAL: Final = _Kind("rival that did not ship", "s", SERIES[1], filled=False)
SHIPPED: Final = _Kind("shipped", "D", SERIES[2], filled=True)


@dataclass(frozen=True)
class _Point:
    label: str
    kind: _Kind
    latency: Latency
    quality: float


def tradeoff_plot(report: Report) -> Plot | None:
    """The plot, or None where no step has both figures.

    Without labelled data the fidelity to the float baseline takes the place of accuracy.
    """
    from matplotlib.figure import Figure

    points, axis, unit = _points(report, accuracy=True), f"{metric(report)} on the validation split (%)", "%"
    if not points:
        points, axis, unit = _points(report, accuracy=False), "fidelity to the float network (SQNR, dB)", "dB"
    if not points:
        return None
    sources = list(dict.fromkeys(point.latency.source for point in points))
    with drawing():
        lines = [
            "latency of one inference, p50 with a bar towards p90 (ms)",
            *(line for source in sources for line in textwrap.wrap(source, LINE_LENGTH)),
        ]
        below = 70 + 14 * len(lines)
        figure = Figure(
            figsize=(WIDTH / UNITS_PER_INCH, (HEIGHT + below) / UNITS_PER_INCH), dpi=UNITS_PER_INCH
        )
        axes = figure.add_axes((0.1, below / (HEIGHT + below), 0.87, (HEIGHT - 30) / (HEIGHT + below)))
        _frame(axes, points, best=100 if unit == "%" else IDENTICAL_DB)
        _scatter(axes, points)
        axes.set_xlabel("\n".join(lines), labelpad=5, fontsize=10.5)
        axes.set_title(axis, loc="left", fontsize=11, color=MUTED, x=-0.1)
        _label(axes, points)
        return inline(
            figure, name="tradeoff", title="Each step and each rival", description=_describe(points, unit)
        )


def _points(report: Report, *, accuracy: bool) -> list[_Point]:
    points = []
    for step in report.steps:
        quality = _percent(step.val_accuracy) if accuracy else _below_cap(step.fidelity_db)
        if step.latency_ms is not None and quality is not None:
            last = step is report.steps[-1]
            kind = SHIPPED if last else KEPT if step.kept else ROLLED_BACK
            points.append(_Point(step.stage, kind, step.latency_ms, quality))
    for rival in report.rivals:
        quality = _percent(rival.val_accuracy) if accuracy else None
        if rival.latency_ms is not None and quality is not None and not rival.shipped:
            points.append(_Point(rival.name, RIVAL, rival.latency_ms, quality))
    return points


def _percent(share: float | None) -> float | None:
    return None if share is None else 100 * share


def _below_cap(decibels: float | None) -> float | None:
    return None if decibels is None or decibels >= IDENTICAL_DB else decibels


def _frame(axes: Axes, points: Sequence[_Point], *, best: float) -> None:
    """Limits by the medians: the long tail of a busy machine runs out of the plot, it does not squeeze it."""
    medians, qualities = [point.latency.p50 for point in points], [point.quality for point in points]
    wide = max(medians) - min(medians) or max(medians)
    tail = min(max(point.latency.p90 for point in points), max(medians) + wide / 2)
    axes.set_xlim(max(0.0, min(medians) - 0.25 * wide), tail + 0.15 * wide)
    high = max(qualities) - min(qualities) or 2.0
    bottom, top = min(qualities) - 0.18 * high, max(qualities) + 0.18 * high
    axes.set_ylim(bottom, top)
    axes.set_yticks([tick for tick in axes.get_yticks() if max(0.0, bottom) <= tick <= min(best, top)])


def _scatter(axes: Axes, points: Sequence[_Point]) -> None:
    from matplotlib.lines import Line2D

    handles = []
    for kind in dict.fromkeys(point.kind for point in points):
        members = [point for point in points if point.kind == kind]
        middle = [point.latency.p50 for point in members]
        tail = [max(0.0, point.latency.p90 - point.latency.p50) for point in members]
        face = kind.colour if kind.filled else "none"
        axes.errorbar(
            middle,
            [point.quality for point in members],
            xerr=[[0.0] * len(members), tail],
            linestyle="none",
            marker=kind.marker,
            color=kind.colour,
            markerfacecolor=face,
            markersize=8,
            markeredgewidth=1.5,
            capsize=3,
            elinewidth=1,
        )
        handles.append(
            Line2D(
                [],
                [],
                linestyle="none",
                marker=kind.marker,
                color=kind.colour,
                markerfacecolor=face,
                markersize=7,
                markeredgewidth=1.5,
                label=kind.label,
            )
        )
    axes.grid(visible=True, linewidth=0.6)
    axes.tick_params(labelsize=10, labelcolor=MUTED, length=0)
    axes.legend(
        handles=handles,
        loc="lower left",
        bbox_to_anchor=(0, 0),
        bbox_transform=axes.figure.transFigure,
        ncols=2,
        frameon=False,
        fontsize=10,
        handletextpad=0.2,
    )


def _label(axes: Axes, points: Sequence[_Point]) -> None:
    names: dict[tuple[float, float], list[str]] = {}
    for point in points:  # steps that changed neither figure share a place, and so a label
        names.setdefault((point.latency.p50, point.quality), []).append(point.label)
    places = [axes.transData.transform(place) for place in names]
    texts = [", ".join(dict.fromkeys(labels)) for labels in names.values()]
    box = axes.get_window_extent()
    offsets = place_labels(
        [(float(x), float(y)) for x, y in places], texts, bounds=(box.x0, box.y0, box.x1, box.y1)
    )
    for place, text, offset in zip(names, texts, offsets, strict=True):
        axes.annotate(
            text,
            place,
            xytext=offset,
            textcoords="offset points",
            color=INK,
            fontsize=10.5,
            va="center",
            arrowprops={"arrowstyle": "-", "color": LINE, "linewidth": 0.8, "shrinkB": 5},
        )


def _describe(points: Sequence[_Point], unit: str) -> str:
    return (
        "; ".join(
            f"{point.label} ({point.kind.label}): {point.quality:.2f} {unit} at {point.latency.p50:.3g} ms, "
            f"p90 {point.latency.p90:.3g} ms, {point.latency.source}"
            for point in points
        )
        + "."
    )
