"""`edgekit prune`: channels leave a network, and what moves together is shown."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import options
from edgekit.cli.listing import print_facts, print_table
from edgekit.cli.output import output
from edgekit.cli.progress import shown
from edgekit.errors import InputError
from edgekit.recipe import BEST, BEST_OF_WEIGHTS, BEST_SCOPE, PruneOptions
from edgekit.recipe import Criterion as CriterionName
from edgekit.recipe import Scope as ScopeName
from edgekit.request import Request
from edgekit.units import human_bytes, human_count

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.pipeline.pruning import ChannelClass, PruningReport, Spent


def _budget(flag: str, what: str) -> Any:
    said = f"What may be left of {what}: up to 1 a share, above 1 a count."
    return typer.Option(flag, metavar="X", show_default=False, help=said)


Macs = Annotated[float | None, _budget("--macs", "the multiply-accumulates")]
Params = Annotated[float | None, _budget("--params", "the parameters")]
MemoryAccess = Annotated[float | None, _budget("--memory-access", "the bytes that operators read and write")]
PeakMemory = Annotated[float | None, _budget("--peak-memory", "the bytes of activations alive at once")]
FileSize = Annotated[float | None, _budget("--size", "the bytes of the float file (with --target)")]
Criterion = Annotated[
    CriterionName | None,
    typer.Option(
        "--criterion",
        show_default=f"{BEST} with --data, {BEST_OF_WEIGHTS} without",
        help="What a channel matters by; taylor and reconstruction look at pictures: give --data.",
    ),
]
Data = Annotated[
    Path | None,
    typer.Option(
        "--data",
        "-d",
        metavar="DIR",
        help="Pictures for taylor (labelled ones) and reconstruction alone, as compress takes them.",
    ),
]
Scope = Annotated[
    ScopeName,
    typer.Option("--scope", help="Channels of all layers compete, or layers lose about the same share each."),
]
Protect = Annotated[
    list[str] | None,
    typer.Option(
        "--protect",
        metavar="NAME",
        help="A layer (or block) whose weights stay as they are, as --show names it; repeat it for more.",
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
    subject: options.Subject,
    *,
    macs: Macs = None,
    params: Params = None,
    memory_access: MemoryAccess = None,
    peak_memory: PeakMemory = None,
    size: FileSize = None,
    criterion: Criterion = None,
    scope: Scope = BEST_SCOPE,
    protect: Protect = None,
    data: Data = None,
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

        budgets = {
            "macs": macs,
            "params": params,
            "memory_access": memory_access,
            "peak_memory": peak_memory,
            "size": size,
        }
        found = run(
            subject,
            options=_options(
                budgets,
                criterion=criterion or (BEST_OF_WEIGHTS if data is None else BEST),
                scope=scope,
                protect=tuple(protect or ()),
            ),
            data=data,
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


def _options(
    budgets: Mapping[str, float | None],
    *,
    criterion: CriterionName,
    scope: ScopeName,
    protect: tuple[str, ...],
) -> PruneOptions:
    """The stage's options; raises `InputError` without a budget, and for one that leaves nothing."""
    given = {name: value for name, value in budgets.items() if value is not None}
    flags = {name: f"--{name.replace('_', '-')}" for name in budgets}
    if not given:
        raise InputError("nothing says what may be left", hint=f"give one of {', '.join(flags.values())}")
    for name, value in given.items():
        if not 0 < value < float("inf"):  # false for NaN too
            raise InputError(
                f"{flags[name]} {value:g} leaves nothing", hint="up to 1 a share, above 1 a count"
            )
    values = {"criterion": criterion, "scope": scope, "protect": protect, **given}
    return PruneOptions.model_validate({"kind": "prune", **values})


def _print(console: "Console", found: "PruningReport", *, show: bool) -> None:
    share = found.macs_after / found.macs_before
    facts = {
        "criterion": f"{found.criterion}, {found.scope}",
        "MACs": f"{human_count(found.macs_before)} → {human_count(found.macs_after)} ({share:.1%})",
        "params": f"{human_count(found.params_before)} → {human_count(found.params_after)}",
        **{_SAID[name]: _spent(spent) for name, spent in found.budgets.items() if name in _SAID},
        "widths": _multiples(found),
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


def _multiples(found: "PruningReport") -> str:
    kept, wanted = found.channel_multiple, found.channel_multiple_wanted
    told = f"multiples of {kept}" if kept > 1 else "any"
    return told if kept == wanted else f"{told} (multiples of {wanted} cannot reach the budget)"


_SAID: Mapping[str, str] = {
    "memory_access": "memory access",
    "peak_memory": "peak activation memory",
    "size": "float file",
}


def _spent(spent: "Spent") -> str:
    share = spent.after / spent.before
    return f"{human_bytes(spent.before)} → {human_bytes(spent.after)} ({share:.1%})"


def _named(layers: tuple[str, ...], *, show: bool) -> str:
    """All layers, or the first and how many more there are."""
    if show or len(layers) < 2:
        return "\n".join(layers)
    return f"{layers[0]} +{len(layers) - 1}"


def _counts(each: "ChannelClass") -> tuple[str, str]:
    return str(each.channels), str(each.left)
