"""Where an inference spends its time, beside where its multiply-accumulates are: two bars a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.report_html.layer_plots import AXIS, CHARACTER, FIGURES, LEGEND, ROW, WIDTH, short
from edgekit.report_html.svg import INK, MUTED, SERIES, UNITS_PER_INCH, Plot, drawing, inline
from edgekit.report_text import layer_times_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes

    from edgekit.report import LayerTime, LayerTimes

TIME, MACS = SERIES[1], SERIES[0]


def layer_time_plot(times: LayerTimes) -> Plot | None:
    """Shares of the time and of the MACs, in percent; None where no time was taken.

    Rows that have neither are left out.
    """
    from matplotlib.figure import Figure

    rows = [row for row in times.rows if row.time_ns or row.macs]
    if not times.total_ns:
        return None
    names = [short(row.name) for row in rows]
    left, height = CHARACTER * max(map(len, names)) + 10, ROW * len(rows) + LEGEND + AXIS
    with drawing():
        figure = Figure(figsize=(WIDTH / UNITS_PER_INCH, height / UNITS_PER_INCH))
        axes = figure.add_axes(
            (left / WIDTH, AXIS / height, (WIDTH - left - FIGURES) / WIDTH, ROW * len(rows) / height)
        )
        for shift, colour, label, shares in (
            (-0.18, TIME, "of the time", [_percent(row.time_ns, times.total_ns) for row in rows]),
            (0.18, MACS, "of the MACs", [_percent(row.macs or 0, times.macs) for row in rows]),
        ):
            axes.barh([place + shift for place in range(len(rows))], shares, 0.34, color=colour, label=label)
        _figures(axes, rows, times)
        _dress(axes, names)
        return inline(
            figure, name="layer-times", title="Time of each layer", description=_describe(rows, times)
        )


def _dress(axes: Axes, names: Sequence[str]) -> None:
    axes.set_yticks(range(len(names)), names, fontsize=10)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=9)
    axes.xaxis.set_major_formatter(lambda tick, _: f"{tick:g} %")
    axes.locator_params(axis="x", nbins=4)
    axes.legend(
        ncols=2,
        loc="upper right",
        bbox_to_anchor=(1, 1),
        bbox_transform=axes.figure.transFigure,
        borderaxespad=0,
        frameon=False,
        fontsize=10,
        labelcolor=INK,
        handlelength=1,
    )


def _figures(axes: Axes, rows: Sequence[LayerTime], times: LayerTimes) -> None:
    """The time itself, at the end of the longer bar."""
    for place, row in enumerate(rows):
        axes.annotate(
            _milliseconds(row.time_ns),
            (max(_percent(row.time_ns, times.total_ns), _percent(row.macs or 0, times.macs)), place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=MUTED,
            annotation_clip=False,
        )


def _percent(part: float, whole: float) -> float:
    return 100 * part / whole if whole else 0.0


def _milliseconds(nanoseconds: float) -> str:
    return f"{nanoseconds / 1e6:.3f} ms"


def _describe(rows: Sequence[LayerTime], times: LayerTimes) -> str:
    slowest = sorted(rows, key=lambda row: row.time_ns, reverse=True)[:3]
    told = "; ".join(
        f"{row.name} {_milliseconds(row.time_ns)}, {_percent(row.time_ns, times.total_ns):.0f} % of the time"
        f" and {_percent(row.macs or 0, times.macs):.0f} % of the MACs"
        for row in slowest
    )
    return f"{layer_times_line(times)}. The slowest: {told}. The table of times has all figures."
