"""What each layer costs, as horizontal bars in the network's order."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from edgekit.report_html.bars import LEGEND, dress, frame, short, write_at_ends
from edgekit.report_html.svg import SERIES, Plot, drawing, inline

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from edgekit.report import LayerRow

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
    rows = [layer for layer in layers if value(layer) > 0]
    if not rows:
        return None
    groups = _groups(layers)
    colours = dict(zip(dict.fromkeys(groups.values()), SERIES, strict=False))
    names = [short(row.name or f"({row.operator})") for row in rows]
    with drawing():
        figure, axes = frame(names)
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
    axes.barh(range(len(names)), values, height=0.72, color=colours)
    dress(axes, names, text)
    axes.set_xlim(0, max(values))
    write_at_ends(axes, values, [text(value) for value in values])


def _legend(axes: Axes, colours: dict[str, str]) -> None:
    from matplotlib.patches import Patch

    axes.legend(
        handles=[Patch(color=colour, label=short(group)) for group, colour in colours.items()],
        bbox_transform=axes.figure.transFigure,
        **LEGEND,
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


def _describe(
    rows: Sequence[LayerRow], value: Callable[[LayerRow], float], text: Callable[[float], str]
) -> str:
    total = sum(value(row) for row in rows)
    largest = sorted(rows, key=value, reverse=True)[:3]
    shares = ", ".join(f"{row.name} {text(value(row))} ({value(row) / total:.0%})" for row in largest)
    return (
        f"{len(rows)} layers, {text(total)} in all; the largest: {shares}. The layer table has all figures."
    )
