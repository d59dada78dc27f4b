"""`edgekit models`: the zoo, or one network of it."""

from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import options
from edgekit.cli.listing import print_facts, print_table
from edgekit.cli.output import output
from edgekit.errors import unknown
from edgekit.units import human_count

if TYPE_CHECKING:
    from edgekit.zoo import Entry

Name = Annotated[str | None, typer.Argument(metavar="[NAME]", show_default=False, help="Show this one.")]
NUMBERS = ("params", "MACs")


def models(name: Name = None, *, as_json: options.Json = False) -> None:
    """List the networks that edgekit knows, or show one."""
    with output(as_json=as_json) as out:
        from edgekit.zoo import catalogue

        entries = {entry.name: entry for entry in catalogue()}
        if name is None:
            documents = [entry.model_dump(mode="json") for entry in entries.values()]
            columns = ("name", "family", *NUMBERS, "input", "task")
            rows = [_row(entry) for entry in entries.values()]
            out.show(documents, lambda console: print_table(console, columns, rows, numbers=NUMBERS))
        elif name in entries:
            document = entries[name].model_dump(mode="json")
            out.show(document, lambda console: print_facts(console, document))
        else:
            raise unknown("model", name, entries)


def _row(entry: "Entry") -> tuple[str, ...]:
    shape = "×".join(str(size) for size in entry.input_shape)
    return entry.name, entry.family, human_count(entry.params), human_count(entry.macs), shape, entry.task
