"""How the commands that list things print: a table of all, or everything about one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from edgekit.facts import Fact, fact
from edgekit.units import human_bytes

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.graph.layer import Layer


def print_table(
    console: Console, columns: Sequence[str], rows: Iterable[Sequence[str]], *, numbers: Sequence[str] = ()
) -> None:
    """A table without lines; `numbers` are the columns that are set to the right."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for column in columns:
        table.add_column(column, justify="right" if column in numbers else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    console.print(table)


def print_layers(console: Console, layers: Iterable[Layer]) -> None:
    """What each layer of a network costs."""
    numbers = ("params", "MACs", "memory access")
    rows = [
        (
            layer.name,
            layer.operator,
            "×".join(map(str, layer.output_shape)),
            f"{layer.params:,}",
            f"{layer.macs:,}",
            human_bytes(layer.memory_access_bytes),
            "×".join(map(str, layer.receptive_field)),
        )
        for layer in layers
    ]
    print_table(console, ("layer", "operator", "output", *numbers, "receptive field"), rows, numbers=numbers)


def print_facts(console: Console, document: object) -> None:
    """All that a document says, one fact a line, deeper ones indented."""
    _print_facts(console, fact("", document).facts, indent=0)


def _print_facts(console: Console, facts: Sequence[Fact], indent: int) -> None:
    wide = max((len(entry.name) for entry in facts), default=0)
    for entry in facts:
        console.print(f"{' ' * indent}{entry.name:{wide}}  {entry.value}".rstrip(), soft_wrap=True)
        _print_facts(console, entry.facts, indent + 2)
