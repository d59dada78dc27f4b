"""`edgekit sparsity`: what zeros could gain on a device, and those that a file holds."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import options
from edgekit.cli.listing import print_facts, print_table
from edgekit.cli.output import output
from edgekit.errors import InputError
from edgekit.request import Request

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.pipeline.prospects import Held, Prospects

Subject = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|ARTIFACT",
        show_default=False,
        help=f"A network of the zoo, {options.OWN}, or a checkpoint: what could gain. "
        "The folder of a run or an artifact, without --target: what its file holds.",
    ),
]
Target = Annotated[
    str | None,
    typer.Option("--target", "-t", metavar="TARGET", help="The device whose kernels are asked about."),
]
Pattern = Annotated[
    str | None,
    typer.Option("--pattern", metavar="PATTERN", help="2:4, unstructured@75%, block-4x1@50%, kernel-4, …"),
]
Precision = Annotated[
    str | None,
    typer.Option(
        "--precision", metavar="NAME", help="int8, fp16 or fp32. Default: int8 where the device has it."
    ),
]


def sparsity(
    subject: Subject,
    *,
    target: Target = None,
    pattern: Pattern = None,
    precision: Precision = None,
    input_size: options.InputSize = None,
    width: options.Width = Request.width,
    factory_arg: options.FactoryArg = None,
    task: options.Task = None,
    factory: options.Factory = None,
    as_json: options.Json = False,
) -> None:
    """Say which layers zeros could make faster on a device and why the others stay, or which zeros a file holds."""
    with output(as_json=as_json) as sink:
        from edgekit.pipeline.loading import open_network
        from edgekit.pipeline.prospects import prospects, zeros_in
        from edgekit.target import load_target

        if target is None:
            if not Path(subject).exists():
                raise InputError(
                    f"nothing says for which device {subject} is",
                    hint="give --target, or the folder of a run",
                )
            held = zeros_in(Path(subject), pattern)
            document = {"layers": [vars(each) for each in held]}
            sink.show(document, lambda console: _print_held(console, held))
            return
        goal = load_target(target)
        network = open_network(
            subject,
            factory=factory,
            factory_arg=tuple(factory_arg or ()),
            task=task,
            weights=None,
            input_size=options.size(input_size),
            width=width,
        )
        wanted = precision or ("int8" if "int8" in goal.precisions else goal.precisions[0])
        found = prospects(network, goal, pattern or "target", wanted)
        sink.show(found.document(), lambda console: _print(console, found))


def _print(console: "Console", found: "Prospects") -> None:
    facts = {"on": found.target, "in all": found.sentence}
    print_facts(console, facts | ({"note": found.note} if found.note else {}))
    console.print()
    rows = [
        (each.layer, each.shape, each.obstacle or _gain(each.dense_ms, each.sparse_ms))
        for each in found.layers
    ]
    print_table(console, ("layer", "channels, kernel", "at best, by the roofline (an estimate)"), rows)


def _gain(dense: float | None, sparse: float | None) -> str:
    if dense is None or sparse is None:
        return "can gain; nobody tells the device's rates"
    return f"{dense / sparse:.2f}×: {1e3 * dense:.1f} → {1e3 * sparse:.1f} µs"


def _print_held(console: "Console", held: "tuple[Held, ...]") -> None:
    rows = [
        (each.layer, f"{each.weights:,}", f"{100 * each.density:.1f} %", ", ".join(each.patterns) or "—")
        for each in held
    ]
    print_table(console, ("layer", "weights", "non-zero", "holds"), rows, numbers=("weights", "non-zero"))
