"""`edgekit compare`: fails a build that made a device slower, and says so when it cannot tell."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from edgekit.cli import options
from edgekit.cli.output import output
from edgekit.cli.progress import shown
from edgekit.errors import BudgetError, InconclusiveError, InputError, MissingError
from edgekit.request import Request

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.gate.case import Case
    from edgekit.gate.history import Drift
    from edgekit.gate.result import GateResult


class Metric(StrEnum):
    """What is gated."""

    p50 = "p50"
    p90 = "p90"


class Open(StrEnum):
    """What becomes of a comparison that stays open."""

    exit_5 = "fail"
    passes = "pass"


Base = Annotated[
    Path | None,
    typer.Argument(help="An artifact, a run's folder, a pointer file to one; or a suite (*.toml), alone."),
]
Candidate = Annotated[Path | None, typer.Argument(help="The file that may have become slower.")]
MaxRegression = Annotated[
    str, typer.Option("--max-regression", metavar="SHARE", help="What is still no regression: `5%` or 0.05.")
]
MaxTime = Annotated[
    float,
    typer.Option("--max-time", metavar="SECONDS", min=1, help="For each case; then it stays inconclusive."),
]
MetricOption = Annotated[Metric, typer.Option("--metric", help="The percentile that is gated.")]
Inconclusive = Annotated[
    Open, typer.Option("--inconclusive", help="What an open verdict is: exit 5, or a pass.")
]
Force = Annotated[bool, typer.Option("--force", help="Compare two different models all the same.")]
Junit = Annotated[Path | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.")]
Markdown = Annotated[Path | None, typer.Option("--markdown", metavar="FILE", help="Write a job's summary.")]
GithubBenchmark = Annotated[
    Path | None,
    typer.Option("--github-benchmark", metavar="FILE", help="Write github-action-benchmark's JSON."),
]
Bencher = Annotated[Path | None, typer.Option("--bencher", metavar="FILE", help="Write Bencher's JSON.")]
History = Annotated[
    Path | None,
    typer.Option(
        "--history",
        metavar="FILE",
        help="Add a line a case to this file (JSON lines), and tell of lasting changes in it; never part of the gate.",
    ),
]
Slowdown = Annotated[
    str,
    typer.Option(
        "--inject-slowdown",
        metavar="SHARE",
        help="Make each call of the candidate so much longer: a test of the gate with a known regression.",
    ),
]


def compare(
    base: Base = None,
    candidate: Candidate = None,
    *,
    device: options.Device = Request.device,
    max_regression: MaxRegression = "5%",
    metric: MetricOption = Metric.p50,
    max_time: MaxTime = 600,
    threads: options.Threads = Request.threads,
    inconclusive: Inconclusive = Open.exit_5,
    inject_slowdown: Slowdown = "0",
    force: Force = False,
    junit: Junit = None,
    markdown: Markdown = None,
    github_benchmark: GithubBenchmark = None,
    bencher: Bencher = None,
    history: History = None,
    as_json: options.Json = False,
) -> None:
    """Compare the latency of two files on one device, interleaved, until the verdict is sure."""
    with output(as_json=as_json) as sink:
        from edgekit.devices import open_device
        from edgekit.gate import gate
        from edgekit.gate.formats import write_all

        wanted = {
            "junit": junit,
            "markdown": markdown,
            "github_benchmark": github_benchmark,
            "bencher": bencher,
        }
        result = gate(
            _cases(base, candidate, _share(max_regression, "--max-regression"), metric.value, force=force),
            open_device(device),
            threads=threads,
            max_seconds=max_time,
            slowdown=_share(inject_slowdown, "--inject-slowdown"),
            progress=shown(),
        )
        changes = [] if history is None else _remember(history, result)
        write_all(result, {name: path for name, path in wanted.items() if path is not None})
        document = result.model_dump(mode="json") | {
            "drifts": [drift.model_dump(mode="json") for drift in changes]
        }
        sink.show(document, lambda console: _print(console, result, changes))
    codes = {
        "fail": BudgetError.exit_code,
        "stopped": MissingError.exit_code,
        "inconclusive": 0 if inconclusive is Open.passes else InconclusiveError.exit_code,
    }
    if code := codes.get(result.verdict, 0):
        raise typer.Exit(code)


def _cases(
    base: Path | None, candidate: Path | None, threshold: float, metric: str, *, force: bool
) -> list[Case]:
    from edgekit.gate.case import Limits, open_case
    from edgekit.gate.suite import open_suite

    if base is not None and candidate is None and base.suffix == ".toml":
        return open_suite(base, force=force)
    if base is None or candidate is None:
        raise InputError(
            "two files are compared", hint="edgekit compare BASE CANDIDATE, or edgekit compare SUITE.toml"
        )
    return [
        open_case(
            base,
            candidate,
            max_regression=threshold,
            metric="p90" if metric == "p90" else "p50",
            limits=Limits(),
            force=force,
        )
    ]


def _share(text: str, option: str) -> float:
    """`5%`, `5 %` or `0.05` → 0.05."""
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*(%?)\s*", text)
    if found is None:
        raise InputError(f"{option} {text!r} is no share", hint="write 5% or 0.05")
    share = float(found[1]) / (100 if found[2] else 1)
    if option == "--max-regression" and not 0 < share < 1:
        raise InputError(f"{option} {text} is not between 0 and 100 %", hint="write 5% or 0.05")
    return share


def _remember(path: Path, result: GateResult) -> list[Drift]:
    from datetime import UTC, datetime

    from edgekit.gate import history

    before = history.read(path)
    entries = history.entries_of(result, datetime.now(UTC))
    history.append(path, entries)
    return history.drifts([*before, *entries])


def _print(console: Console, result: GateResult, changes: list[Drift]) -> None:
    from edgekit.gate.formats.words import case_lines

    console.print(f"{result.verdict} on {result.device}", style="bold")
    for case in result.cases:
        console.print(f"\n{case.name}", style="bold")
        for line in case_lines(case):
            console.print(f"  {line}", soft_wrap=True)
    for drift in changes:
        console.print(
            f"\n{drift.case} drifted from {drift.before_ms:.3f} to {drift.after_ms:.3f} ms since "
            f"{drift.since:%Y-%m-%d}, {drift.sha256[:12]} (from the history, not part of the verdict)"
        )
