"""`edgekit targets`: the devices, or one of them."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import options
from edgekit.cli.listing import print_facts, print_table
from edgekit.cli.output import output

if TYPE_CHECKING:
    from edgekit.target import Target

Name = Annotated[
    str | None, typer.Argument(metavar="[NAME]", show_default=False, help="Show this one (or a target file).")
]


def targets(name: Name = None, *, as_json: options.Json = False) -> None:
    """List the devices that edgekit knows, or show one."""
    with output(as_json=as_json) as out:
        from edgekit.target import list_targets, load_target

        if name is not None:
            document = _document(load_target(name))
            out.show(document, lambda console: print_facts(console, document))
            return
        found = list_targets()
        rows = [
            (
                target.id,
                ", ".join(target.aliases),
                target.title,
                target.runtime,
                target.format,
                ", ".join(target.precisions),
            )
            for target in found
        ]
        columns = ("name", "aliases", "device", "runtime", "format", "precisions")
        out.show([_document(target) for target in found], lambda console: print_table(console, columns, rows))


def _document(target: "Target") -> dict[str, Any]:
    values = target.model_dump(mode="json")
    return {"name": values.pop("id"), **values}
