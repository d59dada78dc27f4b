"""`edgekit parity`: one batch of pictures through a network in PyTorch and through its files."""

from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import options
from edgekit.cli.listing import print_table
from edgekit.cli.output import output
from edgekit.cli.progress import shown
from edgekit.request import Request

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.pipeline.agreement import Agreement, Side

Targets = Annotated[
    list[str] | None,
    typer.Option(
        "--target",
        "-t",
        metavar="TARGET",
        show_default="host, intel-cpu, android: one a runtime",
        help="A device whose file is made and run here; repeat it for more.",
    ),
]
Samples = Annotated[
    int | None,
    typer.Option("--samples", metavar="N", show_default="64", help="Pictures that all files get."),
]
Tensors = Annotated[bool, typer.Option("--tensors", help="Every tensor of each file, not its worst alone.")]


def parity(
    subject: options.Subject,
    *,
    target: Targets = None,
    data: options.Data = None,
    samples: Samples = None,
    tensors: Tensors = False,
    weights: options.Weights = None,
    input_size: options.InputSize = None,
    width: options.Width = Request.width,
    factory_arg: options.FactoryArg = None,
    task: options.Task = None,
    factory: options.Factory = None,
    threads: options.Threads = Request.threads,
    as_json: options.Json = False,
) -> None:
    """Run the same pictures through a network and through each runtime's file of it, and say where they part."""
    with output(as_json=as_json) as sink:
        from edgekit.pipeline.agreement import agree
        from edgekit.pipeline.loading import open_network

        network = open_network(
            subject,
            factory=factory,
            factory_arg=tuple(factory_arg or ()),
            task=task,
            weights=weights,
            input_size=options.size(input_size),
            width=width,
        )
        found = agree(network, tuple(target or ()), data, samples, threads=threads, progress=shown())
        sink.show(found.document(), lambda console: _print(console, found, tensors=tensors))
    if found.exit_code:
        raise typer.Exit(found.exit_code)


def _print(console: "Console", found: "Agreement", *, tensors: bool) -> None:
    from edgekit import report_text as text

    console.print(f"{found.model}: {found.samples} pictures of {found.data}")
    columns = ("file", "in", "to its network", "to float", "same answers", "worst tensor")
    rows = [
        (
            f"{side.target}, {side.precision}",
            side.runtime,
            text.decibels(side.sqnr_db),
            text.decibels(side.float_db),
            "–" if side.agreement is None else text.percent(side.agreement),
            _worst(side),
        )
        for side in found.sides
    ]
    print_table(console, columns, rows, numbers=columns[2:5])
    for side in found.sides:
        name = f"{side.target}, {side.precision}"
        if side.failed:
            console.print(f"{name}: {side.failed}")
        if side.diverges:
            console.print(f"{name}: first to diverge: {side.diverges}")
        for tried in side.repair:
            console.print(f"{name}: repair tried: {tried}")
        if tensors and side.tensors:
            console.print(f"\n{name}")
            print_table(
                console,
                ("tensor", "SQNR", "in PyTorch", "in the file"),
                [
                    (layer.node, text.decibels(layer.sqnr_db), f"{layer.reference:.6g}", f"{layer.file:.6g}")
                    for layer in side.tensors
                ],
                numbers=("SQNR", "in PyTorch", "in the file"),
            )


def _worst(side: "Side") -> str:
    from edgekit import report_text as text

    if not side.tensors:
        return "–"
    worst = min(side.tensors, key=lambda layer: layer.sqnr_db)
    return f"{worst.node}, {text.decibels(worst.sqnr_db)}"
