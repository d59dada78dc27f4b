"""The table of `profile --layers`: what each layer costs beside the time that it took."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.cli.listing import print_table
from edgekit.report_text import layer_time_row, layer_times_line

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.report import LayerTimes

NUMBERS = ("MACs", "of MACs", "memory access", "time", "of time")


def print_layer_times(console: Console, times: LayerTimes) -> None:
    """One row a layer, shares beside the figures: 15 % of MACs and 40 % of the time stand side by side."""
    print_table(
        console,
        ("layer", *NUMBERS, "ran as"),
        [layer_time_row(row, times) for row in times.rows],
        numbers=NUMBERS,
    )
    console.print(layer_times_line(times), soft_wrap=True)
