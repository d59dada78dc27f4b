"""The dependency graph of a prune as SVG: layers from the input down, who reads whom, what moves together.

A layer's box names it, its channels before and after, and its group; boxes of one group have one colour and one
number. What must stay is dashed and says so; why, and all layers of its group, is its tooltip.
"""

from __future__ import annotations

import io
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from xml.etree import ElementTree

import torch

from edgekit.graph.readers import Reader, group_of, readers
from edgekit.stages.pruning import Pruned

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BOX_WIDTH, BOX_HEIGHT, COLUMN, ROW = 3.3, 0.3, 3.9, 0.48
"""Inches."""
LONGEST_NAME: Final = 30
LEGEND: Final = "A group loses its channels together. Dashed: must stay. An arrow goes to what reads a layer."
SVG: Final = "http://www.w3.org/2000/svg"


@dataclass(frozen=True)
class Box:
    """A layer where it is drawn; x to the right, y down, in inches."""

    x: float
    y: float
    name: str
    left: int
    channels: int
    group: int
    frozen: str
    reads: tuple[int, ...]

    @property
    def tooltip(self) -> str:
        """All that does not fit into the box."""
        fate = f"must stay: {self.frozen}" if self.frozen else f"moves with group {self.group}"
        return f"{self.name}: {self.channels} → {self.left} channels, {fate}"


def drawn(pruned: Pruned) -> str:
    """The SVG document, the same for the same prune."""
    boxes = _boxes(pruned)
    total, left = sum(box.channels for box in boxes), sum(box.left for box in boxes)
    title = f"Channels of {pruned.model.name}: {total:,} → {left:,} in {len(boxes)} layers"
    return _described(_figure(boxes, title), boxes, title)


def _boxes(pruned: Pruned) -> list[Box]:
    channels = pruned.channels
    calls = readers(channels)
    numbers: dict[int, int] = {}
    boxes = []
    for (x, y), call in zip(_places(calls), calls, strict=True):
        group = group_of(channels, call)
        boxes.append(
            Box(
                x=x,
                y=y,
                name=call.layer,
                channels=len(call.classes),
                left=int((~torch.isin(call.classes, pruned.removed)).sum()),
                group=numbers.setdefault(group, len(numbers) + 1),
                frozen=channels.groups[group].frozen if group >= 0 else "no channel analysis reaches it",
                reads=call.reads,
            )
        )
    return boxes


def _places(calls: tuple[Reader, ...]) -> list[tuple[float, float]]:
    """A row for each depth; in a row the layers lie in the order of what they read."""
    places: dict[int, tuple[float, float]] = {}
    rows: dict[int, list[int]] = defaultdict(list)
    for number, call in enumerate(calls):
        rows[call.depth].append(number)
    for depth in sorted(rows):
        above = {
            number: sum(places[source][0] for source in calls[number].reads)
            / max(1, len(calls[number].reads))
            for number in rows[depth]
        }
        row = sorted(rows[depth], key=lambda number: (above[number], number))
        for place, number in enumerate(row):
            places[number] = (COLUMN * (place - (len(row) - 1) / 2), ROW * depth)
    return [places[number] for number in range(len(calls))]


def _figure(boxes: list[Box], title: str) -> bytes:
    import matplotlib as mpl
    from matplotlib.figure import Figure

    wide = max(box.x for box in boxes) - min(box.x for box in boxes) + 2 * COLUMN
    high = max(box.y for box in boxes) + 4 * ROW
    stream = io.BytesIO()
    with mpl.rc_context(
        {"svg.hashsalt": "edgekit", "svg.fonttype": "none", "text.parse_math": False, "font.size": 8}
    ):
        figure = Figure(figsize=(wide, high))
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        axes.set_xlim(min(box.x for box in boxes) - COLUMN, max(box.x for box in boxes) + COLUMN)
        axes.set_ylim(high - 2 * ROW, -2 * ROW)
        start = min(box.x for box in boxes) - COLUMN + 0.2
        axes.text(start, -1.4 * ROW, title, fontsize=11, weight="bold")
        axes.text(start, -0.9 * ROW, LEGEND)
        for box in boxes:
            for source in box.reads:
                _draw_edge(axes, boxes[source], box)
        for number, box in enumerate(boxes):
            _draw_box(axes, number, box)
        figure.savefig(stream, format="svg", metadata={"Date": None, "Creator": None})
    return stream.getvalue()


def _draw_edge(axes: Axes, source: Box, reader: Box) -> None:
    """Straight to the next row; further down around the boxes between, the wider the longer."""
    from matplotlib.patches import FancyArrowPatch
    from matplotlib.path import Path

    rows = round((reader.y - source.y) / ROW)
    if rows <= 1:
        ends = [(source.x, source.y + BOX_HEIGHT / 2), (reader.x, reader.y - BOX_HEIGHT / 2)]
        path = Path(ends, [Path.MOVETO, Path.LINETO])
    else:
        side = -1 if source.x + reader.x < 0 else 1
        beside = side * BOX_WIDTH / 2
        reach = side * (max(side * source.x, side * reader.x) + min(0.15 + 0.07 * rows, 0.9)) + beside
        points = [(source.x + beside, source.y), (reach, source.y), (reach, reader.y)]
        points.append((reader.x + beside, reader.y - BOX_HEIGHT / 5))
        path = Path(points, [Path.MOVETO, *[Path.CURVE4] * 3])
    axes.add_patch(
        FancyArrowPatch(path=path, arrowstyle="-|>", mutation_scale=7, color="#555555", lw=0.8, zorder=1)
    )


def _draw_box(axes: Axes, number: int, box: Box) -> None:
    import matplotlib as mpl
    from matplotlib.patches import FancyBboxPatch

    shade = mpl.colormaps["tab20"](box.group % 20)
    patch = FancyBboxPatch(
        (box.x - BOX_WIDTH / 2, box.y - BOX_HEIGHT / 2),
        BOX_WIDTH,
        BOX_HEIGHT,
        boxstyle="round,pad=0,rounding_size=0.05",
        facecolor="#eeeeee" if box.frozen else [1 - 0.35 * (1 - part) for part in shade[:3]],
        edgecolor="#333333",
        linestyle="--" if box.frozen else "-",
        lw=1.0,
        zorder=2,
    )
    patch.set_gid(f"layer-{number}")
    axes.add_patch(patch)
    name = box.name if len(box.name) <= LONGEST_NAME else f"…{box.name[1 - LONGEST_NAME :]}"
    group = "must stay" if box.frozen else f"group {box.group}"
    sides = (
        (box.x - BOX_WIDTH / 2 + 0.06, "left", name),
        (box.x + BOX_WIDTH / 2 - 0.06, "right", f"{box.channels} → {box.left}  {group}"),
    )
    for x, side, text in sides:
        shown = axes.text(x, box.y, text, ha=side, va="center", fontsize=7, color="#000000", zorder=3)
        shown.set_gid(f"text-{side}-{number}")


def _described(svg: bytes, boxes: list[Box], title: str) -> str:
    """The document with a title for all and one for each box, which browsers show and screen readers read."""
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", "http://www.w3.org/1999/xlink")
    root = ElementTree.fromstring(svg)  # noqa: S314  # written just now, by us
    root.set("role", "img")
    root.set("aria-label", title)
    _title(root, title)
    groups = {element.get("id"): element for element in root.iter(f"{{{SVG}}}g")}
    for number, box in enumerate(boxes):
        for name in (f"layer-{number}", f"text-left-{number}", f"text-right-{number}"):
            _title(groups[name], box.tooltip)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _title(element: ElementTree.Element, text: str) -> None:
    title = ElementTree.Element(f"{{{SVG}}}title")
    title.text = text
    element.insert(0, title)
