"""`edgekit compare`: fails a build that made a device slower, and says so when it cannot tell."""

from __future__ import annotations

import math
import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from edgekit.cli import options
from edgekit.cli.output import output
from edgekit.cli.progress import shown
from edgekit.errors import BudgetError, InconclusiveError, InputError, MeasurementError
from edgekit.request import Request

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.gate.document import Document
    from edgekit.gate.result import CaseResult
    from edgekit.gate.self_test import SelfTest
    from edgekit.gate.suite import Terms


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
    str | None,
    typer.Option(
        "--max-regression",
        metavar="SHARE",
        help="What is still no regression: `5%` or 0.05. This and the limits below hold for the cases of a suite "
        "that give none of their own. Default: 5%.",
    ),
]
MaxSizeGrowth = Annotated[
    str | None, typer.Option("--max-size-growth", metavar="SHARE", help="Of the files. Default: 5%.")
]
MaxMemoryGrowth = Annotated[
    str | None,
    typer.Option("--max-memory-growth", metavar="SHARE", help="Of the process's peak. Default: 10%."),
]
MaxAccuracyDrop = Annotated[
    float | None,
    typer.Option(
        "--max-accuracy-drop",
        metavar="POINTS",
        min=0,
        help="Of the figures in the runs' reports. Default: 1 point.",
    ),
]
MaxParityLoss = Annotated[
    float | None,
    typer.Option(
        "--max-parity-loss",
        metavar="DB",
        min=0,
        help="Decibels of the known answers' SQNR, where it ends under 25. Default: 6.",
    ),
]
MaxFloatOperators = Annotated[
    int | None,
    typer.Option(
        "--max-float-operators",
        metavar="N",
        min=0,
        help="Weighted operators that fell back to float, more than in the base. Default: 0.",
    ),
]
MaxTime = Annotated[
    float,
    typer.Option("--max-time", metavar="SECONDS", min=1, help="For each case; then it stays inconclusive."),
]
MetricOption = Annotated[
    Metric | None, typer.Option("--metric", help="The percentile that is gated. Default: p50.")
]
Runtime = Annotated[
    str | None,
    typer.Option(
        "--runtime",
        metavar="NAME",
        help="What runs both files. Default: the one that they are for (TensorRT for a Jetson) where the device has "
        "it; `local` falls back to that of their format, and says so.",
    ),
]
Inconclusive = Annotated[
    Open, typer.Option("--inconclusive", help="What an open verdict is: exit 5, or a pass.")
]
Force = Annotated[
    bool, typer.Option("--force", help="Compare other models, inputs, formats, options all the same.")
]
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
    str | None,
    typer.Option(
        "--inject-slowdown",
        metavar="SHARE",
        help="Make each call of the candidate so much longer: a test of the gate with a known regression.",
    ),
]
SelfTestOption = Annotated[
    bool,
    typer.Option(
        "--self-test",
        help="Compare BASE with itself, and with itself slowed by --inject-slowdown (default: 10%): exit 1 if the "
        "gate calls the first a regression, or misses the second.",
    ),
]


def compare(
    base: Base = None,
    candidate: Candidate = None,
    *,
    device: options.Device = Request.device,
    max_regression: MaxRegression = None,
    metric: MetricOption = None,
    runtime: Runtime = None,
    max_size_growth: MaxSizeGrowth = None,
    max_memory_growth: MaxMemoryGrowth = None,
    max_accuracy_drop: MaxAccuracyDrop = None,
    max_parity_loss: MaxParityLoss = None,
    max_float_operators: MaxFloatOperators = None,
    max_time: MaxTime = 600,
    threads: options.Threads = Request.threads,
    inconclusive: Inconclusive = Open.exit_5,
    inject_slowdown: Slowdown = None,
    self_test: SelfTestOption = False,
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
        from edgekit.gate.request import GateRequest, run_self_test
        from edgekit.gate.request import compare as run

        limits = _given(
            size=_share(max_size_growth, "--max-size-growth"),
            peak_memory=_share(max_memory_growth, "--max-memory-growth"),
            accuracy_points=max_accuracy_drop,
            parity_db=max_parity_loss,
            float_operators=max_float_operators,
        )
        request = GateRequest(
            base=base,
            candidate=candidate,
            device=device,
            terms=_terms(_share(max_regression, "--max-regression"), metric, runtime, limits),
            threads=threads,
            max_seconds=max_time,
            slowdown=_share(inject_slowdown, "--inject-slowdown"),
            force=force,
            reports=_given(
                junit=junit, markdown=markdown, github_benchmark=github_benchmark, bencher=bencher
            ),
            history=history,
        )
        found = run_self_test(request, shown()) if self_test else run(request, shown())
        sink.show(found.model_dump(mode="json"), lambda console: _print(console, found))
    if code := _exit_code(found, open_passes=inconclusive is Open.passes):
        raise typer.Exit(code)


def _exit_code(found: Document | SelfTest, *, open_passes: bool) -> int:
    codes = {
        "pass": 0,
        "fail": BudgetError.exit_code,
        "stopped": found.stop_code or MeasurementError.exit_code,
        "inconclusive": 0 if open_passes else InconclusiveError.exit_code,
    }
    return codes[found.verdict]


def _terms(
    max_regression: float | None, metric: Metric | None, runtime: str | None, limits: dict[str, Any]
) -> Terms:
    from edgekit.gate.case import Limits
    from edgekit.gate.suite import Terms

    if wrong := [name for name, value in limits.items() if not math.isfinite(value)]:
        raise InputError(f"the limit of {', '.join(wrong)} is no finite number")
    if max_regression is not None and not 0 < max_regression < 1:
        raise InputError("--max-regression is not between 0 and 100 %", hint="write 5% or 0.05")
    given = _given(max_regression=max_regression, metric=metric and metric.value, runtime=runtime)
    return Terms(limits=Limits(**limits), **given)


def _given(**options: Any) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in options.items() if value is not None}


def _share(text: str | None, option: str) -> float | None:
    """`5%`, `5 %` or `0.05` → 0.05."""
    if text is None:
        return None
    found = re.fullmatch(r"\s*(\d{1,6}(?:\.\d+)?)\s*(%?)\s*", text)
    if found is None:
        raise InputError(f"{option} {text!r} is no share", hint="write 5% or 0.05")
    share = float(found[1]) / (100 if found[2] else 1)
    if share >= 1 and not found[2]:
        raise InputError(f"{option} {text} would be {share:.0%}", hint="write 5% or 0.05")
    return share


def _print(console: Console, found: Document | SelfTest) -> None:
    from edgekit.gate.self_test import SelfTest

    if isinstance(found, SelfTest):
        _print_self_test(console, found)
        return
    console.print(f"{found.verdict} on {found.device}", style="bold")
    _print_cases(console, found.cases)
    for drift in found.drifts:
        console.print(
            f"\n{drift.case} ({drift.fingerprint.get('precision', 'precision unknown')}) drifted from "
            f"{drift.before_ms:.3f} to {drift.after_ms:.3f} ms since {drift.since:%Y-%m-%d}, {drift.sha256[:12]} "
            "(from the history, not part of the verdict)",
            soft_wrap=True,
        )


def _print_self_test(console: Console, found: SelfTest) -> None:
    from edgekit.gate.formats.words import share

    console.print(
        f"self-test: {found.verdict} on {found.same.device}: {found.reason}", style="bold", soft_wrap=True
    )
    if found.smallest_visible is not None:
        console.print(f"the smallest effect that it could see: {share(found.smallest_visible)}")
    _print_cases(console, (*found.same.cases, *found.slowed.cases))


def _print_cases(console: Console, cases: tuple[CaseResult, ...]) -> None:
    from edgekit.gate.formats.words import case_lines

    for case in cases:
        console.print(f"\n{case.name}", style="bold")
        for line in case_lines(case):
            console.print(f"  {line}", soft_wrap=True)
