"""The matrix as the README shows it: `python benchmarks/matrix.py` reads what `make test-matrix` left in runs/matrix.

A row a run, in the order of families; what was not run, or did not finish, has no row.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer
from marks import write_between

from edgekit.units import human_bytes, human_count, human_seconds

HEAD = (
    "| network | target | accuracy, test | MACs | size | p50, 1 thread | ships |",
    "|---|---|---|---|---|---|---|",
)


def row(report: dict[str, Any]) -> str:
    """Baseline → shipped file; a latency that is a proxy's says so."""
    first, last = report["steps"][0], report["steps"][-1]
    times = [step["latency_ms"]["p50"] for step in (first, last)]
    iou = " IoU" if report["model"]["task"] == "segmentation" else ""
    proxy = "" if last["latency_ms"]["source"].startswith("measured:") else " (proxy)"
    return (
        "| "
        + " | ".join(
            (
                report["model"]["name"],
                report["target"]["id"],
                f"{100 * first['accuracy']:.1f} → {100 * last['accuracy']:.1f} %{iou}",
                f"{human_count(first['macs'])} → {human_count(last['macs'])}",
                f"{human_bytes(first['size_bytes'])} → {human_bytes(last['size_bytes'])}",
                f"{times[0]:.2f} → {times[1]:.2f} ms{proxy}",
                report["artifact"]["precision"],
            )
        )
        + " |"
    )


def main(
    runs: Annotated[Path, typer.Option()] = Path("runs/matrix"),
    readme: Annotated[Path, typer.Option()] = Path("README.md"),
) -> None:
    """Write the table between its marks in the README, and print it."""
    reports = [json.loads(path.read_text()) for path in sorted(runs.glob("*/report.json"))]
    spent = sum(step["seconds"] for report in reports for step in report["steps"])
    said = f"{len(reports)} runs, {human_seconds(spent)} of work in all, two at a time on two cores."
    table = "\n".join(("", said, "", *HEAD, *map(row, reports), ""))
    write_between(readme, "matrix", table)
    print(table)


if __name__ == "__main__":
    typer.run(main)
