"""`edgekit export`: a network, or the last state of a run, as a target's file."""

from functools import partial
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
    Path,
    typer.Option(
        "--out", "-o", metavar="DIR", show_default=False, help="The new folder of the artifact or the bundle."
    ),
]
Bundle = Annotated[
    bool,
    typer.Option(
        "--bundle",
        help="Write what a phone app takes, into DIR and DIR.zip: the .tflite with its metadata, labels, model card, "
        "known answers, Kotlin and Swift. A RUN for TARGET gives the very file that it shipped, with its figures.",
    ),
]
Licence = Annotated[
    str | None,
    typer.Option(
        "--license", metavar="NAME", help="The licence of the weights, for the bundle to state (SPDX)."
    ),
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
    bundle: Bundle = False,
    licence: Licence = None,
    force: options.Force = False,
    as_json: options.Json = False,
) -> None:
    """Write the file that a target runs, with its manifest and known answers, and check it."""
    with output(as_json=as_json) as sink:
        from edgekit.pipeline.exporting import export as run

        write = partial(
            run,
            subject,
            target=target,
            weights=weights,
            input_size=options.size(input_size),
            width=width,
            factory_arg=tuple(factory_arg or ()),
            task=task,
            factory=factory,
            progress=shown(),
        )
        if bundle:
            from edgekit.pipeline.bundling import export_bundle, zip_of

            told = export_bundle(
                subject,
                target=target,
                out=out,
                fresh=lambda folder: write(out=folder),
                licence=licence,
                force=force,
            )
            document = {"folder": str(out), "zip": str(zip_of(out)), **told.model_dump(mode="json")}
        else:
            found = write(out=out, force=force)
            document = {
                "folder": str(found.folder),
                "size_bytes": found.size_bytes,
                **found.manifest.model_dump(mode="json"),
            }
        sink.show(document, lambda console: print_facts(console, document))
