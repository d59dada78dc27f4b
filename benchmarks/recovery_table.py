"""What `recovery.py` found, as docs/recovery.md shows it: `python benchmarks/recovery_table.py`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from marks import write_between
from prune_criteria_table import Row, interval

DEFAULT = "default"


def main(
    results: Annotated[Path, typer.Option()] = Path("runs/recovery.jsonl"),
    page: Annotated[Path, typer.Option()] = Path("docs/recovery.md"),
    *,
    write: Annotated[bool, typer.Option(help="into the page, and not only on the screen")] = True,
) -> None:
    """Write the tables between their marks in the page, and print them."""
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    text = "\n".join((*accuracies(rows), "", *comparisons(rows), ""))
    print(text)
    if write:
        write_between(page, "recovery", text)


def ways_of(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["way"] for row in rows))


def accuracies(rows: Sequence[Row]) -> list[str]:
    """A row a family and share, a column a way: the mean over seeds."""
    ways, seeds = ways_of(rows), sorted({row["seed"] for row in rows})
    epochs = sorted({row["epochs"] for row in rows})
    said = (
        f"Percent top-1 on the test split after {'/'.join(map(str, epochs))} epochs of recovery, mean over "
        f"{len(seeds)} seed{'s' * (len(seeds) > 1)}."
    )
    lines = [
        said,
        "",
        f"| network | fewer MACs | pruned | {' | '.join(ways)} |",
        f"|---|---|---|{'---|' * len(ways)}",
    ]
    for family, share in sorted(
        {(row["family"], row["share"]) for row in rows}, key=lambda cell: (cell[0], -cell[1])
    ):
        own = [row for row in rows if (row["family"], row["share"]) == (family, share)]
        entries = [mean([row for row in own if row["way"] == way], "test_after") for way in ways]
        lines.append(
            f"| {family} ({mean(own, 'whole_test')}) | {100 * (1 - share):.0f} % | {mean(own, 'test_before')} "
            f"| {' | '.join(entries)} |"
        )
    return lines


def mean(rows: Sequence[Row], figure: str) -> str:
    return f"{100 * np.mean([row[figure] for row in rows]):.1f}" if rows else ""


def comparisons(rows: Sequence[Row]) -> list[str]:
    """Each way against the default, in pairs of the same network, share and seed."""
    lines = [
        f"Against `{DEFAULT}`, in pairs (same network, MACs and seed; 95 % interval by BCa bootstrap):",
        "",
        "| way | pairs | mean difference, points | 95 % | better, equal, worse | processor time |",
        "|---|---|---|---|---|---|",
    ]
    base = {key(row): row for row in rows if row["way"] == DEFAULT}
    for way in ways_of(rows):
        pairs = [(row, base[key(row)]) for row in rows if row["way"] == way and key(row) in base]
        if way == DEFAULT or not pairs:
            continue
        gains = [100 * (own["test_after"] - other["test_after"]) for own, other in pairs]
        average, (low, high) = interval(gains)
        signs = [
            sum(gain > 0 for gain in gains),
            sum(gain == 0 for gain in gains),
            sum(gain < 0 for gain in gains),
        ]
        time = np.median([own["seconds"] / other["seconds"] for own, other in pairs])
        lines.append(
            f"| {way} | {len(pairs)} | {average:+.2f} | {low:+.2f} … {high:+.2f} "
            f"| {', '.join(map(str, signs))} | × {time:.2f} |"
        )
    return lines


def key(row: Row) -> tuple[str, float, int]:
    return row["family"], row["share"], row["seed"]


if __name__ == "__main__":
    typer.run(main)
