"""`edgekit models`: the zoo, or one network of it."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import options
from edgekit.cli.listing import print_facts, print_layers, print_table
from edgekit.cli.output import output
from edgekit.errors import InputError, unknown
from edgekit.facts import NONE
from edgekit.units import count_of, human_count

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.graph.cost import Cost
    from edgekit.zoo import Entry

Name = Annotated[
    str | None, typer.Argument(metavar="[NAME]", show_default=False, help="Show this one, layer by layer.")
]
Task = Annotated[str | None, typer.Option("--task", metavar="TASK", help="Only networks for this task.")]
MaxMacs = Annotated[
    str | None, typer.Option("--max-macs", metavar="N", help="Only up to N multiply-accumulates, 300M say.")
]
MaxParams = Annotated[
    str | None, typer.Option("--max-params", metavar="N", help="Only up to N parameters, 2.5M say.")
]


class Order(StrEnum):
    """What networks are sorted by."""

    NAME = "name"
    FAMILY = "family"
    PARAMS = "params"
    MACS = "macs"
    RECEPTIVE_FIELD = "receptive-field"
    ACCURACY = "accuracy"


Sort = Annotated[Order, typer.Option("--sort", help="What to sort by; accuracy comes best first.")]

NUMBERS = ("params", "MACs", "field", "accuracy")
_KEYS: dict[Order, Callable[["Entry"], Any]] = {
    Order.NAME: lambda entry: entry.name,
    Order.FAMILY: lambda entry: entry.family,
    Order.PARAMS: lambda entry: entry.params,
    Order.MACS: lambda entry: entry.macs,
    Order.RECEPTIVE_FIELD: lambda entry: entry.receptive_field,
    Order.ACCURACY: lambda entry: -(entry.accuracy or 0),
}


def models(
    name: Name = None,
    *,
    task: Task = None,
    max_macs: MaxMacs = None,
    max_params: MaxParams = None,
    sort: Sort = Order.NAME,
    as_json: options.Json = False,
) -> None:
    """List the networks that edgekit knows, or show one with its layers."""
    with output(as_json=as_json) as out:
        from edgekit.zoo import catalogue

        entries = {entry.name: entry for entry in catalogue()}
        if name is not None and name not in entries:
            raise unknown("model", name, entries)
        if name is not None:
            document, cost = entries[name].model_dump(mode="json"), _cost(name)
            layers = [asdict(layer) for layer in cost.layers]
            out.show({**document, "layers": layers}, lambda console: _print_one(console, document, cost))
            return
        tasks = sorted({entry.task for entry in entries.values()})
        if task is not None and task not in tasks:
            raise unknown("task", task, tasks)
        macs, params = _limit("--max-macs", max_macs), _limit("--max-params", max_params)
        chosen = [
            entry
            for entry in sorted(entries.values(), key=lambda entry: (_KEYS[sort](entry), entry.name))
            if task in (None, entry.task) and entry.macs <= macs and entry.params <= params
        ]
        documents = [entry.model_dump(mode="json") for entry in chosen]
        out.show(documents, lambda console: _print_all(console, chosen))


def _limit(option: str, text: str | None) -> float:
    try:
        return float("inf") if text is None else count_of(text)
    except ValueError as error:
        raise InputError(f"{option} {text} is no count", hint="write 300M, 0.3G or 300000000") from error


def _cost(name: str) -> "Cost":
    """The network as it is published, counted layer by layer; the one thing here that needs torch."""
    from edgekit.pipeline.profiling import profile

    found = profile(name).cost
    assert found is not None
    return found


def _print_one(console: "Console", document: dict[str, Any], cost: "Cost") -> None:
    print_facts(console, document)
    console.print()
    print_layers(console, cost.layers)


def _print_all(console: "Console", entries: Sequence["Entry"]) -> None:
    sources = list(dict.fromkeys(entry.accuracy_source for entry in entries if entry.accuracy_source))
    rows = [
        (
            entry.name,
            entry.family,
            entry.variant or NONE,
            human_count(entry.params),
            human_count(entry.macs),
            "×".join(map(str, entry.receptive_field)),
            f"{entry.accuracy} [{sources.index(entry.accuracy_source) + 1}]" if entry.accuracy else NONE,
        )
        for entry in entries
    ]
    print_table(console, ("name", "family", "variant", *NUMBERS), rows, numbers=NUMBERS)
    if sources:
        console.print()
    for number, source in enumerate(sources, start=1):
        console.print(f"[{number}] {source}", soft_wrap=True)
