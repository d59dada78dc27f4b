"""How far the latency gate can be trusted: `python benchmarks/gate.py simulate|record|real`.

`simulate` draws sessions of known truth, prints the share of each verdict and draws the power curve; with
`--recorded FILE` the noise is that of pairs recorded by `record`. `real` compares an artifact with
itself, and with itself slowed by a known share, over and over.
"""

from __future__ import annotations

import json
from collections import Counter
from itertools import islice
from pathlib import Path
from statistics import median
from typing import Annotated

import numpy as np
import typer
from rich.console import Console
from rich.table import Table
from scipy import stats

from edgekit.devices import open_device
from edgekit.gate import gate
from edgekit.gate.case import Limits, open_case
from edgekit.gate.pairs import measured_pairs
from edgekit.gate.plan import Plan
from edgekit.gate.result import CaseResult
from edgekit.gate.simulate import DECISIONS, NOISES, Noise, rates, recorded
from edgekit.gate.subject import candidate_of

app = typer.Typer(add_completion=False, help=__doc__)
EFFECTS = (0, 0.5, 1, 1.25, 1.5, 1.75, 2, 2.5)
"""True slowdowns, as multiples of the threshold."""
Curves = dict[str, list[float]]


@app.command()
def simulate(
    *,
    runs: int = 1000,
    threshold: float = 0.02,
    seed: int = 0,
    noises: Annotated[list[str] | None, typer.Option("--noise")] = None,
    recorded_file: Annotated[Path | None, typer.Option("--recorded")] = None,
    figure: Path = Path("docs/gate-power.svg"),
) -> None:
    """The share of failed, passed and open sessions for each noise and each true slowdown, and its curve."""
    chosen: dict[str, str | Noise] = {name: name for name in noises or NOISES}
    if recorded_file is not None:
        ratios = np.array(json.loads(recorded_file.read_text()))
        chosen = {f"recorded, {len(ratios)} pairs": recorded(ratios)}
    table = Table("noise", "true slowdown", *DECISIONS, title=f"threshold {threshold:.0%}, {runs} runs a row")
    caught: Curves = {}
    for name, noise in chosen.items():
        for effect in (share * threshold for share in EFFECTS):
            found = rates(Plan(threshold=threshold), noise, effect=effect, runs=runs, seed=seed)
            table.add_row(name, f"{effect:.1%}", *(f"{found[key]:.3f}" for key in DECISIONS))
            caught.setdefault(name, []).append(found["fail"])
    Console(width=100).print(table)
    draw(caught, threshold, runs, figure)


def draw(caught: Curves, threshold: float, runs: int, path: Path) -> None:
    """The share of sessions that failed, against the true slowdown; the same numbers give the same file."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({"svg.hashsalt": "gate", "svg.fonttype": "none", "font.size": 9})
    from matplotlib import pyplot as plt

    shown, axes = plt.subplots(figsize=(6.4, 3.6), layout="constrained")
    for (name, shares), marker in zip(caught.items(), "osDv^x" * len(caught), strict=False):
        axes.plot([100 * share * threshold for share in EFFECTS], [100 * share for share in shares], marker=marker,
                  markersize=4, linewidth=1.2, label=name)  # fmt: skip
    axes.axvline(100 * threshold, color="0.4", linestyle=":", linewidth=1)
    axes.annotate(f"threshold {threshold:.0%}", (100 * threshold, 50), rotation=90, va="center", ha="right")
    axes.set(xlabel="true slowdown (%)", ylabel="sessions that fail (%)", ylim=(-3, 103))
    axes.set_title(f"What the gate catches: {runs} simulated sessions a point", fontsize=9)
    axes.grid(visible=True, alpha=0.3)
    axes.legend(title="noise", frameon=False)
    path.parent.mkdir(parents=True, exist_ok=True)
    shown.savefig(path, metadata={"Date": None})
    plt.close(shown)


@app.command()
def record(artifact: Path, out: Path, pairs: int = 120, threads: int = 2) -> None:
    """ln(second / first) of pairs of one file with itself, in the order in which they were measured."""
    case = open_case(artifact, artifact, max_regression=0.05, metric="p50", limits=Limits())
    side = candidate_of("base", case.base)
    other = candidate_of("candidate", case.candidate)
    found = list(islice(measured_pairs(side, other, open_device("local"), threads=threads), pairs))
    ratios = [
        pair.log_ratio("p50") * (1 if pair.base_first else -1) for pair in found if not pair.disturbance
    ]
    out.write_text(json.dumps(ratios))
    blocks = [block.percentile_ms("p50") for pair in found for block in (pair.base, pair.candidate)]
    typer.echo(
        f"{len(ratios)} of {pairs} pairs counted, block medians from {min(blocks):.3f} to {max(blocks):.3f} ms, "
        f"ratios spread {np.std(ratios):.2%} (standard deviation), {stats.iqr(ratios):.2%} (quartiles)"
    )


@app.command()
def real(
    artifact: Path,
    *,
    runs: int = 20,
    threshold: float = 0.05,
    slowdown: float = 0.1,
    threads: int = 2,
    max_time: float = 600,
    out: Annotated[Path | None, typer.Option(help="Keep every result, one JSON line each.")] = None,
) -> None:
    """Verdicts of real gates: a file against itself, and against itself slowed, by turns."""
    case = open_case(artifact, artifact, max_regression=threshold, metric="p50", limits=Limits())
    found: dict[float, list[CaseResult]] = {0.0: [], slowdown: []}
    for run in range(runs):
        for share, results in found.items():
            device = open_device("local")
            (result,) = gate([case], device, threads=threads, max_seconds=max_time, slowdown=share).cases
            results.append(result)
            typer.echo(f"{run + 1:3} {share:4.0%} {line(result)}")
            if out is not None:
                with out.open("a") as file:
                    file.write(f"{result.model_dump_json()}\n")
    table = Table("true slowdown", "runs", *DECISIONS, "stopped", "median time to verdict", "longest",
                  title=f"threshold {threshold:.0%}, {threads} threads, base {line_of_base(found[0.0])}")  # fmt: skip
    for share, results in found.items():
        verdicts = Counter[str](result.verdict for result in results)
        seconds = [result.seconds for result in results]
        counts = (str(verdicts[verdict]) for verdict in (*DECISIONS, "stopped"))
        times = f"{median(seconds):.0f} s", f"{max(seconds):.0f} s"
        table.add_row(f"{share:.0%}", str(len(results)), *counts, *times)
    Console(width=110).print(table)


def line(result: CaseResult) -> str:
    seen = result.slowdown
    interval = f"{seen.estimate:+.2%} [{seen.low:+.2%}, {seen.high:+.2%}]" if seen else "no interval"
    return (
        f"{result.verdict:12} {interval}, {result.pairs} pairs, {len(result.set_aside)} set aside, "
        f"{result.seconds:.0f} s: {result.reason}"
    )


def line_of_base(results: list[CaseResult]) -> str:
    known = [result.base.p50_ms for result in results if result.base.p50_ms is not None]
    return f"{median(known):.2f} ms" if known else "not measured"


if __name__ == "__main__":
    app()
