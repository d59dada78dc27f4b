"""`edgekit prune`: channels leave a network, and what moves together is shown."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import options
from edgekit.cli.listing import print_facts, print_table
from edgekit.cli.output import output
from edgekit.cli.progress import shown
from edgekit.request import Request
from edgekit.units import human_count

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.pipeline.pruning import ChannelClass, PruningReport

Subject = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|RUN",
        show_default=False,
        help=f"A network of the zoo, {options.OWN}, or the folder of a run or a checkpoint.",
    ),
]
Macs = Annotated[
    float,
    typer.Option(
        "--macs",
        metavar="X",
        show_default=False,
        help="What may be left: up to 1 a share of the multiply-accumulates, above 1 a count.",
    ),
]
Target = Annotated[
    str | None,
    typer.Option(
        "--target", "-t", metavar="TARGET", help="Keep widths that this device's kernels want. Default: any."
    ),
]
Show = Annotated[
    bool, typer.Option("--show", help="Name every layer that moves together, and what reads it.")
]

Svg = Annotated[
    Path | None,
    typer.Option(
        "--svg",
        metavar="FILE",
        help="Draw what reads what and moves together, as SVG. With --out it is drawn there too.",
    ),
]


def prune(
    subject: Subject,
    *,
    macs: Macs,
    target: Target = None,
    weights: options.Weights = None,
    out: options.Out = None,
    input_size: options.InputSize = None,
    width: options.Width = Request.width,
    factory_arg: options.FactoryArg = None,
    task: options.Task = None,
    factory: options.Factory = None,
    seed: options.Seed = Request.seed,
    svg: Svg = None,
    force: options.Force = False,
    show: Show = False,
    as_json: options.Json = False,
) -> None:
    """Remove the least important channels of a network, down to a budget, and prove the result."""
    with output(as_json=as_json) as sink:
        from edgekit.pipeline.pruning import prune as run

        found = run(
            subject,
            macs=macs,
            target=target,
            weights=weights,
            input_size=options.size(input_size),
            width=width,
            factory_arg=tuple(factory_arg or ()),
            task=task,
            factory=factory,
            seed=seed,
            out=out,
            svg=svg,
            force=force,
            progress=shown(),
        )
        sink.show(found.document(), lambda console: _print(console, found, show=show))


def _print(console: "Console", found: "PruningReport", *, show: bool) -> None:
    share = found.macs_after / found.macs_before
    facts = {
        "MACs": f"{human_count(found.macs_before)} → {human_count(found.macs_after)} ({share:.1%})",
        "params": f"{human_count(found.params_before)} → {human_count(found.params_after)}",
        "masked difference": f"{found.masked_difference:.1e} (relative, float64)",
    }
    print_facts(console, facts | ({"exported graph": found.rewritten} if found.rewritten else {}))
    console.print()
    rows = [
        (_named(each.layers, show=show), _named(each.read_by, show=show), *_counts(each), each.frozen)
        for each in found.classes
    ]
    columns = ("move together", "read by", "channels", "left", "must stay")
    print_table(console, columns, rows, numbers=("channels", "left"))


def _named(layers: tuple[str, ...], *, show: bool) -> str:
    """All layers, or the first and how many more there are."""
    if show or len(layers) < 2:
        return "\n".join(layers)
    return f"{layers[0]} +{len(layers) - 1}"


def _counts(each: "ChannelClass") -> tuple[str, str]:
    return str(each.channels), str(each.left)
