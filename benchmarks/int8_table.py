"""What `int8.py` found, as docs/int8-peers.md shows it: `python benchmarks/int8_table.py`.

Accuracy lost, latency, size and the time that quantizing takes, each with the goal that it is held to. What was not run
has no entry; what failed says so.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from int8_costs import latencies, shipped, sizes, times
from int8_rows import FLOAT, OURS, RUNTIMES, Row, Samples, header, interval, rows_of, values_of
from marks import write_between

LOSS, LOSS_END = 0.5, 1.5
"""Goals for ours: points lost on average, and at the interval's end."""
FEW = 5
"""Files below which an interval over files says nothing."""


def accuracies(rows: list[Row]) -> list[str]:
    """A table a runtime, then the means over networks with their verdicts."""
    every = [row for row in rows if row["kind"] == "accuracy"]
    seeds = len(values_of(every, "seed"))
    said = (
        "Points of top-1 (UNeXt: IoU) on the test split that an INT8 file loses to the float one in the same runtime, "
        f"over {seeds} seed{'s' * (seeds != 1)}; below 0 it gains. In brackets 95 %, over seeds and pictures in pairs."
    )
    lines, verdicts = ["### Accuracy", "", said], []
    for runtime, title in RUNTIMES.items():
        names = [
            name
            for name in values_of(rows_of(every, runtime=runtime), "quantizer")
            if not name.startswith("float")
        ]
        lines += header(title, "float", *names)
        for family in values_of(every, "family"):
            own = [row["accuracy"] for row in rows_of(every, quantizer=FLOAT, runtime=runtime, family=family)]
            base = f"{100 * np.mean(own):.1f}" if own else ""
            entries = [loss_entry(every, name, runtime, family) for name in names]
            lines.append(f"| {family} | {base} | {' | '.join(entries)} |")
        verdicts += [loss_verdict(every, name, runtime) for name in names]
    return [*lines, "", "Mean over networks, with 95 % over networks and seeds:", "", *verdicts]


def lost(float_hits: Samples, float_of: Samples, hits: Samples, of: Samples) -> float:
    """Points of top-1 or IoU."""
    return float(100 * (float_hits.sum() / float_of.sum() - hits.sum() / of.sum()))


def pairs_of(rows: list[Row], quantizer: str, runtime: str, family: str) -> list[list[Samples]]:
    """A seed each: for every picture hits and of how many, of the float file and of the INT8 one."""
    where = {"runtime": runtime, "family": family}
    base = {row["seed"]: row for row in rows_of(rows, quantizer=FLOAT, **where)}
    return [
        [
            np.asarray(side[name], dtype=np.float64)
            for side in (base[row["seed"]], row)
            for name in ("hits", "of")
        ]
        for row in rows_of(rows, quantizer=quantizer, **where)
        if row["seed"] in base
    ]


def loss_entry(rows: list[Row], quantizer: str, runtime: str, family: str) -> str:
    pairs = pairs_of(rows, quantizer, runtime, family)
    wrong = rows_of(rows, failed=True, quantizer=quantizer, runtime=runtime, family=family)
    if not pairs:
        return "fails" if wrong else ""
    low, high = interval([np.concatenate(parts) for parts in zip(*pairs, strict=True)], lost)
    told = f"{np.mean([lost(*pair) for pair in pairs]):+.2f} [{low:+.2f}, {high:+.2f}]"
    return f"{told}, fails {len(wrong)}×" if wrong else told


def loss_verdict(rows: list[Row], quantizer: str, runtime: str) -> str:
    """Over all networks and seeds; ours is held to the goal."""
    cells = {
        (family, place): lost(*pair)
        for family in values_of(rows, "family")
        for place, pair in enumerate(pairs_of(rows, quantizer, runtime, family))
    }
    where = f"- {RUNTIMES[runtime]}, {quantizer}"
    if not cells:
        return f"{where}: nothing that ran"
    mean, (low, high) = float(np.mean([*cells.values()])), interval([np.asarray([*cells.values()])], np.mean)
    worst = max(cells, key=cells.__getitem__)
    told = (
        f"{where}: {mean:+.2f} points [{low:+.2f}, {high:+.2f}], {len(cells)} files, worst {cells[worst]:+.2f} "
        f"({worst[0]})"
    )
    if quantizer != OURS:
        return told
    if len(cells) < FEW:
        return f"{told}: too few to tell"
    held = "held" if mean <= LOSS and high < LOSS_END else "missed"
    return f"{told}: **{held}** (goal: {LOSS} or less, the interval's end under {LOSS_END})"


def failures(rows: Sequence[Row]) -> list[str]:
    wrong = rows_of(rows, failed=True)
    lines = ["### What failed", ""]
    if not wrong:
        return [*lines, "Nothing: no quantizer, and no file in its runtime."]
    for row in wrong:
        where = row["method"] if row["kind"] == "file" else f"in {RUNTIMES[row['runtime']]}"
        size = f"at {row['pixels']}×{row['pixels']}, seed {row['seed']}"
        lines.append(f"- {row['family']} {size}: {row['quantizer']}, {where}: {row['failed']}")
    return lines


class Part(StrEnum):
    """Each has marks of its own in the page: results that tell of one alone leave the others as they are."""

    ACCURACY = "accuracy"
    LATENCY = "latency"
    SHIPPED = "shipped"
    SIZE = "size"
    TIME = "time"
    FAILURES = "failures"


PARTS: dict[Part, Callable[[list[Row]], list[str]]] = {
    Part.ACCURACY: accuracies,
    Part.LATENCY: latencies,
    Part.SHIPPED: shipped,
    Part.SIZE: sizes,
    Part.TIME: times,
    Part.FAILURES: failures,
}


def main(
    results: Annotated[Path, typer.Option()] = Path("runs/int8.jsonl"),
    page: Annotated[Path, typer.Option()] = Path("docs/int8-peers.md"),
    part: Annotated[list[Part] | None, typer.Option(help="default: all")] = None,
    *,
    write: Annotated[bool, typer.Option(help="into the page, and not only on the screen")] = True,
) -> None:
    """Write the tables between their marks in the page, and print them."""
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    for name, text in {name: "\n".join(PARTS[name](rows)) for name in part or Part}.items():
        print(f"{text}\n")
        if write:
            write_between(page, f"int8-{name}", text)


if __name__ == "__main__":
    typer.run(main)
