"""`edgekit doctor`: what works here, and what mends the rest."""

from typing import TYPE_CHECKING

import typer

from edgekit.cli import options
from edgekit.cli.output import output
from edgekit.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from edgekit.doctor import Check


def doctor(device: options.Device = "local", *, as_json: options.Json = False) -> None:
    """Show which runtimes and devices work here, and what mends the rest."""
    with output(as_json=as_json) as out:
        from edgekit.doctor import checks

        found = checks(device)
        out.show([check.model_dump(mode="json") for check in found], lambda console: _print(console, found))
    if any(check.name == "device" and not check.ok for check in found):
        raise typer.Exit(MissingError.exit_code)


def _print(console: "Console", found: "Sequence[Check]") -> None:
    wide = max(len(check.name) for check in found)
    for check in found:
        mark, style = ("✓", "green") if check.ok else ("✗", "yellow")
        console.print(mark, style=style, end=" ")
        console.print(f"{check.name:{wide}}  {check.detail}", soft_wrap=True)
        if check.mend:
            console.print(f"{' ' * (wide + 4)}{check.mend}", style="dim", soft_wrap=True)
