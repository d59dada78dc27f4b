"""`edgekit export`: a network, or the last state of a run, as a target's file."""

from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer

from edgekit.cli import options
from edgekit.cli.listing import print_facts
from edgekit.cli.output import output
from edgekit.cli.progress import shown
from edgekit.errors import InputError
from edgekit.request import Request

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
    subject: options.Subject,
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
        from edgekit.pipeline.bundling import export_bundle, zip_of
        from edgekit.pipeline.exporting import export as write
        from edgekit.pipeline.loading import open_network, refuse_description
        from edgekit.pipeline.web_folder import export_page
        from edgekit.target import load_target

        if licence is not None and not bundle:
            raise InputError(
                "--license without --bundle", hint="only a bundle states a licence: add --bundle"
            )
        described: dict[str, Any] = {
            "weights": weights,
            "input_size": options.size(input_size),
            "width": width,
            "factory_arg": tuple(factory_arg or ()),
            "task": task,
        }
        refuse_description(subject, **described)
        network = partial(open_network, subject, factory=factory, **described)
        if bundle:
            told = export_bundle(
                subject, network, target=target, out=out, licence=licence, force=force, progress=shown()
            )
            document = {"folder": str(out), "zip": str(zip_of(out)), **told.model_dump(mode="json")}
        else:
            if load_target(target).page:
                found = export_page(subject, network, target=target, out=out, force=force, progress=shown())
            else:
                found = write(network, target=target, out=out, force=force, progress=shown())
            about = {"folder": str(found.folder), "size_bytes": found.size_bytes}
            document = about | found.manifest.model_dump(mode="json")
        sink.show(document, lambda console: print_facts(console, document))
