"""What plots of horizontal bars share, a row a layer: their size on a telephone, axes, figures at the ends, legend."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from edgekit.report_html.svg import INK, MUTED, UNITS_PER_INCH

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

WIDTH: Final = 400
"""Narrow, with large letters: a telephone shows the plot at four fifths of its size."""
ROW: Final = 16
"""Units of a layer's bar with its gap: its name fits in at the plot's font size."""
HEAD: Final = 44
"""Above the bars, for two lines of legend."""
AXIS: Final = 30
"""Below the bars."""
FIGURES: Final = 60
"""Right of the longest bar, for the number at its end."""
NAME_LENGTH: Final = 26
CHARACTER: Final = 6.1
LEGEND: Final[Mapping[str, Any]] = {
    "ncols": 2,
    "loc": "upper right",
    "bbox_to_anchor": (1, 1),
    "borderaxespad": 0,
    "frameon": False,
    "fontsize": 10,
    "labelcolor": INK,
    "handlelength": 1,
}
"""Of `axes.legend`, which also needs `bbox_transform=axes.figure.transFigure`."""


def frame(names: Sequence[str]) -> tuple[Figure, Axes]:
    """A figure with room for a row a name."""
    from matplotlib.figure import Figure

    rows = ROW * len(names)
    left, height = CHARACTER * max(map(len, names)) + 10, rows + HEAD + AXIS
    figure = Figure(figsize=(WIDTH / UNITS_PER_INCH, height / UNITS_PER_INCH))
    axes = figure.add_axes((left / WIDTH, AXIS / height, (WIDTH - left - FIGURES) / WIDTH, rows / height))
    return figure, axes


def dress(axes: Axes, names: Sequence[str], text: Callable[[float], str]) -> None:
    """Names in the network's order from above, ticks in words."""
    axes.set_yticks(range(len(names)), names, fontsize=10)
    axes.set_ylim(len(names) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=9)
    axes.xaxis.set_major_formatter(lambda tick, _: text(tick))
    axes.locator_params(axis="x", nbins=4)


def write_at_ends(axes: Axes, ends: Sequence[float], texts: Sequence[str]) -> None:
    """A figure right of each row's bar."""
    for place, (end, text) in enumerate(zip(ends, texts, strict=True)):
        axes.annotate(
            text,
            (end, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=9.5,
            color=MUTED,
            annotation_clip=False,
        )


def short(name: str) -> str:
    """Long paths lose their middle: what tells layers apart stands at both ends."""
    half = NAME_LENGTH // 2
    return name if len(name) <= NAME_LENGTH else f"{name[: half - 1]}…{name[-half:]}"
