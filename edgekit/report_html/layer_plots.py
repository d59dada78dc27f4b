"""What each layer costs, as horizontal bars in the network's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from edgekit.report_html.svg import INK, MUTED, SERIES, UNITS_PER_INCH, Plot, drawing, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edgekit.report import LayerRow

WIDTH: Final = 400
"""Narrow, with large letters: a telephone shows the plot at four fifths of its size."""
ROW: Final = 16
"""Units of a layer's bar with its gap: its name fits in at the plot's font size."""
LEGEND: Final = 44
"""Above the bars, for two lines."""
AXIS: Final = 30
"""Below the bars."""
FIGURES: Final = 60
"""Right of the longest bar, for the number at its end."""
NAME_LENGTH: Final = 26
CHARACTER: Final = 6.1
OTHER: Final = "other"


def layer_plot(
    layers: Sequence[LayerRow],
    *,
    name: str,
    title: str,
    value: Callable[[LayerRow], float],
    text: Callable[[float], str],
) -> Plot | None:
    """One bar a layer, coloured by operator, with `text(value)` at its end.

    Layers that cost nothing are left out; None where nothing is left.
    """
    from matplotlib.figure import Figure

    rows = [layer for layer in layers if value(layer) > 0]
    if not rows:
        return None
    groups = _groups(layers)
    colours = dict(zip(dict.fromkeys(groups.values()), SERIES, strict=False))
    names = [short(row.name or f"({row.operator})") for row in rows]
    left, height = CHARACTER * max(map(len, names)) + 10, ROW * len(rows) + LEGEND + AXIS
    with drawing():
        figure = Figure(figsize=(WIDTH / UNITS_PER_INCH, height / UNITS_PER_INCH))
        axes = figure.add_axes(
            (left / WIDTH, AXIS / height, (WIDTH - left - FIGURES) / WIDTH, ROW * len(rows) / height)
        )
        _bars(
            axes,
            names,
            [value(row) for row in rows],
            [colours[groups[row.operator]] for row in rows],
            text,
        )
        shown = {groups[row.operator] for row in rows}
        _legend(axes, {group: colour for group, colour in colours.items() if group in shown})
        return inline(figure, name=name, title=title, description=_describe(rows, value, text))


def _bars(
    axes: Axes,
    names: Sequence[str],
    values: Sequence[float],
    colours: Sequence[str],
    text: Callable[[float], str],
) -> None:
    places = range(len(names))
    axes.barh(places, values, height=0.72, color=colours)
    axes.set_yticks(places, names, fontsize=10)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.set_xlim(0, max(values))
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=9)
    axes.xaxis.set_major_formatter(lambda tick, _: text(tick))
    axes.locator_params(axis="x", nbins=4)
    for place, amount in zip(places, values, strict=True):
        axes.annotate(
            text(amount),
            (amount, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=MUTED,
            annotation_clip=False,
        )


def _legend(axes: Axes, colours: dict[str, str]) -> None:
    from matplotlib.patches import Patch

    axes.legend(
        handles=[Patch(color=colour, label=short(group)) for group, colour in colours.items()],
        ncols=2,
        loc="upper right",
        bbox_to_anchor=(1, 1),
        bbox_transform=axes.figure.transFigure,
        borderaxespad=0,
        frameon=False,
        fontsize=10,
        labelcolor=INK,
        handlelength=1,
        handleheight=0.8,
        handletextpad=0.4,
        columnspacing=1,
    )


def _groups(layers: Sequence[LayerRow]) -> dict[str, str]:
    """Operator → the group whose colour it has in every plot: its own, or one for all that cost little."""
    macs, uses = Counter[str](), Counter[str]()
    for layer in layers:
        macs[layer.operator] += layer.macs
        uses[layer.operator] += 1
    names = sorted(uses, key=lambda operator: (-macs[operator], -uses[operator], operator))
    own = names if len(names) <= len(SERIES) else names[: len(SERIES) - 1]
    return {operator: operator if operator in own else OTHER for operator in names}


def short(name: str) -> str:
    """Long paths lose their middle: what tells layers apart stands at both ends."""
    half = NAME_LENGTH // 2
    return name if len(name) <= NAME_LENGTH else f"{name[: half - 1]}…{name[-half:]}"


def _describe(
    rows: Sequence[LayerRow], value: Callable[[LayerRow], float], text: Callable[[float], str]
) -> str:
    total = sum(value(row) for row in rows)
    largest = sorted(rows, key=value, reverse=True)[:3]
    shares = ", ".join(f"{row.name} {text(value(row))} ({value(row) / total:.0%})" for row in largest)
    return (
        f"{len(rows)} layers, {text(total)} in all; the largest: {shares}. The layer table has all figures."
    )
