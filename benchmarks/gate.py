"""How far the latency gate can be trusted: `python benchmarks/gate.py simulate|record|real`.

`simulate` draws sessions of known truth and prints the share of each verdict; with `--recorded FILE` the noise is
that of block medians recorded here by `record`. `real` compares an artifact with itself, and with itself slowed by
a known share, over and over.
"""

from __future__ import annotations

import json
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from edgekit.devices import open_device
from edgekit.gate import gate
from edgekit.gate.case import Limits, open_case
from edgekit.gate.pairs import measured_pairs
from edgekit.gate.plan import Plan
from edgekit.gate.run import candidate_of
from edgekit.gate.simulate import DECISIONS, NOISES, Noise, rates, recorded

app = typer.Typer(add_completion=False, help=__doc__)
EFFECTS = (0.0, 0.01, 0.02, 0.03, 0.04, 0.05, 0.1)


@app.command()
def simulate(
    runs: int = 1000,
    threshold: float = 0.02,
    seed: int = 0,
    noises: Annotated[list[str] | None, typer.Option("--noise")] = None,
    recorded_file: Annotated[Path | None, typer.Option("--recorded")] = None,
) -> None:
    """The share of failed, passed and open sessions for each noise and each true slowdown."""
    chosen: dict[str, str | Noise] = {name: name for name in noises or NOISES}
    if recorded_file is not None:
        logs = np.log(json.loads(recorded_file.read_text()))
        chosen = {f"recorded, {len(logs)} blocks": recorded(logs)}
    table = Table("noise", "true slowdown", *DECISIONS, title=f"threshold {threshold:.0%}, {runs} runs")
    for name, noise in chosen.items():
        for effect in EFFECTS:
            found = rates(Plan(threshold=threshold), noise, effect=effect, runs=runs, seed=seed)
            table.add_row(name, f"{effect:.0%}", *(f"{found[key]:.3f}" for key in DECISIONS))
    Console(width=100).print(table)


@app.command()
def record(artifact: Path, out: Path, pairs: int = 60, threads: int = 2) -> None:
    """Block medians of one file, in milliseconds, in the order in which they were measured."""
    case = open_case(artifact, artifact, max_regression=0.05, metric="p50", limits=Limits())
    side = candidate_of("base", case.base)
    other = candidate_of("candidate", case.candidate)
    medians: list[float] = []
    for pair in islice(measured_pairs(side, other, open_device("local"), threads=threads), pairs):
        blocks = [pair.base, pair.candidate] if pair.base_first else [pair.candidate, pair.base]
        medians.extend(block.percentile_ms("p50") for block in blocks)
    out.write_text(json.dumps(medians))
    spread = np.std(np.diff(np.log(medians))[::2])
    typer.echo(
        f"{len(medians)} blocks, median {median(medians):.3f} ms, paired log-ratios spread {spread:.2%}"
    )


@app.command()
def real(
    artifact: Path, runs: int = 20, threshold: float = 0.05, slowdown: float = 0.1, threads: int = 2
) -> None:
    """Verdicts of real gates: a file against itself, and against itself slowed."""
    case = open_case(
        artifact, artifact, max_regression=threshold, metric="p50", limits=Limits(peak_memory=0.5)
    )
    table = Table("slowdown", "run", "verdict", "estimate", "interval", "pairs", "set aside", "seconds")
    for run in range(runs):
        for share in (0.0, slowdown):
            found = gate([case], open_device("local"), threads=threads, slowdown=share).cases[0]
            seen = found.slowdown
            table.add_row(
                f"{share:.0%}",
                str(run),
                found.verdict,
                f"{seen.estimate:+.2%}" if seen else "",
                f"{seen.low:+.2%} … {seen.high:+.2%}" if seen else "",
                str(found.pairs),
                str(len(found.set_aside)),
                f"{found.seconds:.0f}",
            )
    Console(width=110).print(table)


if __name__ == "__main__":
    app()
