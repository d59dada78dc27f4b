"""`edgekit verify`: hashes and known answers of what was shipped."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import options
from edgekit.cli.listing import print_table
from edgekit.cli.output import output
from edgekit.cli.progress import shown
from edgekit.errors import BudgetError
from edgekit.request import Request

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.pipeline.verifying import KnownAnswer, Verification

Subject = Annotated[
    Path,
    typer.Argument(
        metavar="RUN|BUNDLE",
        show_default=False,
        help="The folder of a run, an artifact or a bundle, or a bundle's zip.",
    ),
]


def verify(
    subject: Subject,
    *,
    threads: options.Threads = Request.threads,
    device: options.Device = Request.device,
    as_json: options.Json = False,
) -> None:
    """Check every hash of what was shipped, run its known answers, and read an INT8 file against its rules."""
    with output(as_json=as_json) as sink:
        from edgekit.pipeline.verifying import verify as run

        found = run(subject, device=device, threads=threads, progress=shown())
        sink.show(found.document(), lambda console: _print(console, found))
    if not found.holds:
        raise typer.Exit(BudgetError.exit_code)


def _print(console: "Console", found: "Verification") -> None:
    console.print(f"{found.model}: {found.files} files have the SHA-256 that was written down")
    rows = [(answer.name, *_figures(answer), "" if answer.holds else "FAILED") for answer in found.answers]
    print_table(console, ("known answer", "found", "allowed", ""), rows, numbers=("found", "allowed"))

    for check in found.rules:
        told = "none is broken" if not check.breaches else f"{len(check.breaches)} are broken: FAILED"
        console.print(f"{check.file}, read against the rules of {check.rules}: {told}")
        for breach in check.breaches:
            console.print(f"  {breach}")


def _figures(answer: "KnownAnswer") -> tuple[str, str]:
    if answer.unit == "dB":
        return f"{answer.value:.1f} dB", f"≥ {answer.limit:.1f} dB"
    return f"{answer.value:.3g} off", f"≤ {answer.limit:g}"
