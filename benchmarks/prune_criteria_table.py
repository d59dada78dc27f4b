"""What `prune_criteria.py` found, as docs/pruning.md shows it: `python benchmarks/prune_criteria_table.py`.

What each method keeps, and how they compare in pairs; what was not run has no entry.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import numpy.typing as npt
import typer
from marks import write_between
from scipy.stats import bootstrap

Row = dict[str, Any]
Cell = tuple[str, float]
"""A family, and the share of its MACs that is left."""
THEIRS = "torch-pruning"
WEIGHTS_ALONE = ("l1 ", "l2 ", "batch-norm-scale ")
MARGIN = 1.0
"""Points: a family's mean may fall so far short."""


def main(
    results: Annotated[Path, typer.Option()] = Path("runs/prune-criteria.jsonl"),
    page: Annotated[Path, typer.Option()] = Path("docs/pruning.md"),
) -> None:
    """Write the tables between their marks in the page, and print them."""
    rows = [json.loads(line) for line in results.read_text().splitlines()]
    text = "\n".join((*accuracies(rows), "", *comparisons(rows, best_of(rows)), ""))
    write_between(page, "prune-criteria", text)
    print(text)


def values(rows: Sequence[Row], method: str, figure: str) -> dict[tuple[str, float, int], float]:
    """(family, share, seed) → percent, where the method gave a network."""
    return {
        (row["family"], row["share"], row["seed"]): 100 * row[figure]
        for row in rows
        if row["method"] == method and "failed" not in row
    }


def methods_of(rows: Sequence[Row]) -> list[str]:
    return list(dict.fromkeys(row["method"] for row in rows))


def best_of(rows: Sequence[Row]) -> str:
    """Ours with the highest mean after recovery, on the split that decisions are taken on.

    Of those that always work; where there are any, of those that are within the margin of Torch-Pruning everywhere.
    """
    found = {method: values(rows, method, "val_after") for method in methods_of(rows) if method != THEIRS}
    most = max(len(own) for own in found.values())
    whole = {method: own for method, own in found.items() if len(own) == most}
    theirs = values(rows, THEIRS, "val_after")
    safe = {method: own for method, own in whole.items() if not shortfalls(own, theirs)}
    return max(safe or whole, key=lambda method: float(np.mean(list(whole[method].values()))))


def shortfalls(
    own: Mapping[tuple[str, float, int], float], other: Mapping[tuple[str, float, int], float]
) -> dict[Cell, float]:
    """Where ours falls short by more than the margin, in the mean over seeds."""
    gains = {key: own[key] - other[key] for key in own if key in other}
    return {cell: mean for cell, mean in cell_means(gains).items() if mean < -MARGIN}


def accuracies(rows: Sequence[Row]) -> list[str]:
    """A row a family and share, a column a method: before → after, the mean over seeds."""
    methods, epochs = methods_of(rows), max(row.get("epochs", 0) for row in rows)
    cells = sorted({(row["family"], row["share"]) for row in rows}, key=lambda cell: (cell[0], -cell[1]))
    whole: dict[str, dict[int, float]] = defaultdict(dict)
    for row in rows:
        if "failed" not in row:
            whole[row["family"]][row["seed"]] = 100 * row["whole_test"]
    said = (
        "Percent on the test split (top-1; IoU for UNeXt), mean over seeds: right after pruning → after the same "
        f"recovery of {epochs} epochs."
    )
    lines = [
        said,
        "",
        f"| network | fewer MACs | {' | '.join(methods)} |",
        f"|---|---|{'---|' * len(methods)}",
    ]
    for family, share in cells:
        entries = [entry(rows, method, (family, share)) for method in methods]
        start = f"{np.mean(list(whole[family].values())):.1f}" if whole[family] else "?"
        lines.append(f"| {family} ({start}) | {100 * (1 - share):.0f} % | {' | '.join(entries)} |")
    return lines


def entry(rows: Sequence[Row], method: str, cell: Cell) -> str:
    own = [row for row in rows if row["method"] == method and (row["family"], row["share"]) == cell]
    if any("failed" in row for row in own):
        return "fails"
    if not own:
        return ""
    before, after = (100 * np.mean([row[f"test_{when}"] for row in own]) for when in ("before", "after"))
    return f"{before:.1f} → {after:.1f}"


def comparisons(rows: Sequence[Row], best: str) -> list[str]:
    """The best of ours against each other method, in pairs of the same network, share and seed."""
    said = (
        f"On the decision split `{best}` keeps most of those of ours that are nowhere over {MARGIN:g} point short of "
        f"{THEIRS}. Against the others after recovery, on the test split, in pairs (same network, MACs and seed; 95 % "
        "interval by BCa bootstrap):"
    )
    lines = [
        said,
        "",
        f"| {best} against | pairs | mean difference, points | 95 % | worst network and share (mean over seeds) |",
        "|---|---|---|---|---|",
    ]
    own = values(rows, best, "test_after")
    for method in methods_of(rows):
        other = values(rows, method, "test_after")
        shared = [key for key in own if key in other]
        if method == best or not shared:
            continue
        gains = {key: own[key] - other[key] for key in shared}
        mean, (low, high) = interval(list(gains.values()))
        worst, where = worst_cell(gains)
        place = f"{worst:+.1f}: {where[0]}, {100 * (1 - where[1]):.0f} % fewer"
        lines.append(f"| {method} | {len(shared)} | {mean:+.2f} | {low:+.2f} … {high:+.2f} | {place} |")
    alone = best_of([row for row in rows if row["method"].startswith(WEIGHTS_ALONE)])
    lines.extend(["", *verdict(rows, best), f"Of those that look at weights alone: `{alone}`."])
    lines.extend(["", *failures(rows)])
    return lines


def verdict(rows: Sequence[Row], best: str) -> list[str]:
    """Whether ours is within the margin everywhere and better on average, said either way."""
    own, other = values(rows, best, "test_after"), values(rows, THEIRS, "test_after")
    gains = {key: own[key] - other[key] for key in own if key in other}
    if not gains:
        return [f"{THEIRS} gave no network to compare with."]
    short = shortfalls(own, other)
    where = ", ".join(
        f"{family} at {100 * (1 - share):.0f} % ({mean:+.1f})" for (family, share), mean in short.items()
    )
    average = float(np.mean(list(gains.values())))
    side = "better" if average > 0 else "not better"
    inside = f"within {MARGIN:g} point of it everywhere" if not short else f"short by more in: {where}"
    return [f"Against {THEIRS}: {side} on average ({average:+.2f} points), {inside}."]


def failures(rows: Sequence[Row]) -> list[str]:
    found: dict[tuple[str, str, str], set[float]] = defaultdict(set)
    for row in rows:
        if "failed" in row:
            found[row["method"], row["family"], row["failed"]].add(1 - row["share"])
    return [
        f"- {method} fails on {family} at {', '.join(f'{100 * share:.0f} %' for share in sorted(shares))}: `{why}`"
        for (method, family, why), shares in found.items()
    ]


def interval(gains: Sequence[float]) -> tuple[float, tuple[float, float]]:
    """The mean and its 95 % interval; the mean alone where all are the same, or too few."""
    sample: npt.NDArray[np.float64] = np.asarray(gains)
    mean = float(sample.mean())
    if len(sample) < 3 or np.ptp(sample) == 0:
        return mean, (mean, mean)
    found = bootstrap((sample,), np.mean, rng=np.random.default_rng(0)).confidence_interval
    return mean, (float(found.low), float(found.high))


def cell_means(gains: Mapping[tuple[str, float, int], float]) -> dict[Cell, float]:
    cells: dict[Cell, list[float]] = defaultdict(list)
    for (family, share, _), gain in gains.items():
        cells[family, share].append(gain)
    return {cell: float(np.mean(own)) for cell, own in cells.items()}


def worst_cell(gains: Mapping[tuple[str, float, int], float]) -> tuple[float, Cell]:
    means = cell_means(gains)
    where = min(means, key=means.__getitem__)
    return means[where], where


if __name__ == "__main__":
    typer.run(main)
