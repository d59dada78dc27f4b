"""A matplotlib figure as SVG inside a page: the page's colours and font, the same bytes every time."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from matplotlib.figure import Figure

UNITS_PER_INCH: Final = 72
"""matplotlib's SVG counts in points: a figure of 6 inches is 432 units of its view box wide."""

# matplotlib writes fixed colours, a page has a light and a dark scheme: each role is drawn in a colour that
# nothing else uses, which is then replaced by the style sheet's variable.
INK: Final = "#000001"
MUTED: Final = "#000002"
LINE: Final = "#000003"
SERIES: Final = ("#000011", "#000012", "#000013", "#000014")
_VARIABLES: Final = {
    INK: "ink",
    MUTED: "muted",
    LINE: "line",
    **{colour: f"series-{place}" for place, colour in enumerate(SERIES, start=1)},
}
_FONT: Final = "DejaVu Sans"
"""The font that matplotlib brings: it measures with it, the page shows its own."""


@dataclass(frozen=True)
class Plot:
    """An `<svg>` element, and what it shows in words for those who do not see it."""

    name: str
    title: str
    description: str
    svg: str


@contextmanager
def drawing() -> Iterator[None]:
    """Settings under which a page's figures are made; names of layers and steps are data, never TeX."""
    import matplotlib as mpl

    with mpl.rc_context(
        {
            "svg.fonttype": "none",
            "text.parse_math": False,
            "font.family": [_FONT],
            "font.size": 11,
            "text.color": INK,
            "axes.labelcolor": MUTED,
            "axes.edgecolor": LINE,
            "grid.color": LINE,
            "xtick.color": LINE,
            "ytick.color": LINE,
            "xtick.labelcolor": MUTED,
            "ytick.labelcolor": INK,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
        }
    ):
        yield


def inline(figure: Figure, *, name: str, title: str, description: str) -> Plot:
    """The figure for a page; `name` keeps its ids apart from those of the page's other figures."""
    import matplotlib as mpl

    stream = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": name}):
        figure.savefig(
            stream,
            format="svg",
            transparent=True,
            metadata={"Date": None, "Creator": None, "Format": None, "Type": None},
        )
    body = stream.getvalue().partition("<svg ")[2].partition(">")[2]
    body = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", body, count=1, flags=re.DOTALL)
    body = re.sub(
        r' id="[A-Za-z0-9.]+_\d+"', "", body
    )  # counters, not unique in a page; nothing refers to them
    body = body.replace(f"font-family: '{_FONT}'; ", "").replace(f"; font-family: '{_FONT}'", "")
    for colour, variable in _VARIABLES.items():
        body = body.replace(colour, f"var(--{variable})")
    width, height = (f"{inches * UNITS_PER_INCH:.0f}" for inches in figure.get_size_inches())
    start = (
        f'<svg class="plot" viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-labelledby="{name}-title {name}-desc">\n<title id="{name}-title">{escape(title)}</title>\n'
        f'<desc id="{name}-desc">{escape(description)}</desc>\n'
    )
    return Plot(name, title, description, start + body.strip())
