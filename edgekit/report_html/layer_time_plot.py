"""Where an inference spends its time, beside where its multiply-accumulates are: two bars a layer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.report_html.bars import LEGEND, dress, frame, short, write_at_ends
from edgekit.report_html.svg import SERIES, Plot, drawing, inline
from edgekit.report_text import layer_times_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from edgekit.report import LayerTime, LayerTimes

TIME, MACS = SERIES[1], SERIES[0]


def layer_time_plot(times: LayerTimes) -> Plot | None:
    """Shares of the time and of the MACs, in percent; None where no time was taken.

    Rows that have neither are left out.
    """
    rows = [row for row in times.rows if row.time_ns or row.macs]
    if not times.total_ns:
        return None
    names = [short(row.name) for row in rows]
    time, macs = (
        [_percent(row.time_ns, times.total_ns) for row in rows],
        [_percent(row.macs or 0, times.macs) for row in rows],
    )
    with drawing():
        figure, axes = frame(names)
        for shift, colour, label, shares in (
            (-0.18, TIME, "of the time", time),
            (0.18, MACS, "of the MACs", macs),
        ):
            axes.barh([place + shift for place in range(len(rows))], shares, 0.34, color=colour, label=label)
        write_at_ends(axes, list(map(max, time, macs)), [_milliseconds(row.time_ns) for row in rows])
        dress(axes, names, lambda tick: f"{tick:g} %")
        axes.legend(bbox_transform=axes.figure.transFigure, **LEGEND)
        return inline(
            figure, name="layer-times", title="Time of each layer", description=_describe(rows, times)
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
