"""`edgekit export`: a network, or the last state of a run, as a target's file."""

from pathlib import Path
from typing import Annotated

import typer

from edgekit.cli import options
from edgekit.cli.listing import print_facts
from edgekit.cli.output import output
from edgekit.cli.progress import shown
from edgekit.request import Request

Subject = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|RUN",
        show_default=False,
        help=f"A network of the zoo, {options.OWN}; or the folder of a run or a checkpoint.",
    ),
]
OutFolder = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", show_default=False, help="The artifact's new folder.")
]


def export(
    subject: Subject,
    target: options.Target,
    *,
    out: OutFolder,
    weights: options.Weights = None,
    input_size: options.InputSize = None,
    width: options.Width = Request.width,
    factory_arg: options.FactoryArg = None,
    task: options.Task = None,
    factory: options.Factory = None,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Write the file that a target runs, with its manifest and known answers, and check it."""
    with output(as_json=as_json) as sink:
        from edgekit.pipeline.exporting import export as run

        found = run(
            subject,
            target=target,
            out=out,
            weights=weights,
            input_size=options.size(input_size),
            width=width,
            factory_arg=tuple(factory_arg or ()),
            task=task,
            factory=factory,
            force=force,
            progress=shown(),
        )
        document = {
            "folder": str(found.folder),
            "size_bytes": found.size_bytes,
            **found.manifest.model_dump(mode="json"),
        }
        sink.show(document, lambda console: print_facts(console, document))
