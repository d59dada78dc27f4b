"""What `edgekit compress` prints at its end: stages, rivals, verdict, the file, what to do next."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import report_text as text
from edgekit.cli.listing import print_table
from edgekit.facts import NONE

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.report import Latency, Parity, Report, Step


def print_report(console: Console, report: Report, folder: Path) -> None:
    """Everything that decides whether to ship, readable at 80 columns; `folder` is the run's."""
    sources = text.latency_sources(
        [step.latency_ms for step in report.steps] + [rival.latency_ms for rival in report.rivals]
    )
    console.print(
        f"\n{text.id_of(report.model)} for {text.id_of(report.target)}, recipe {text.id_of(report.recipe)}\n",
        style="bold",
    )
    _stages(console, report, sources)
    for number, source in enumerate(sources, start=1):
        console.print(f"[{number}] {source}", soft_wrap=True)
    width = 1 + max(len(step.stage) for step in report.steps)
    _paragraph(
        console,
        "Why",
        (f"{step.stage:{width}}{text.outcome(step, report):13}{step.reason}" for step in report.steps),
    )
    if report.rivals:
        _rivals(console, report, sources)
    if report.parity is not None:
        _paragraph(console, "Proof", _proof(report, report.parity))
    _paragraph(console, "Read this", report.warnings)
    _budget(console, report)
    artifact = report.artifact
    _paragraph(
        console,
        "Shipped",
        (
            f"{artifact.path}  ({artifact.precision} {artifact.format}, {text.size(artifact.size_bytes)})",
            f"{folder / 'report.html'}  (all figures and plots)",
            *_bundle(folder),
            *artifact.notes,
        ),
    )
    _paragraph(console, "Next, on the device", artifact.next_steps)


def _bundle(folder: Path) -> Iterable[str]:
    path = folder / "bundle.zip"
    if path.is_file():
        yield f"{path}  (for an app; edgekit verify checks it)"


def _stages(console: Console, report: Report, sources: Sequence[str]) -> None:
    """Two lines a stage, so that where a latency comes from stands on its row at any width."""
    from rich.box import HORIZONTALS
    from rich.table import Table

    table = Table(box=HORIZONTALS, show_lines=True, pad_edge=False, padding=(0, 1, 0, 0), header_style="bold")
    table.add_column("stage\noutcome", no_wrap=True)
    for name in (
        "params",
        "MACs",
        "memory\naccess",
        "size\n(gzip)",
        text.metric(report),
        "latency\np50 / p90, from",
    ):
        table.add_column(name, justify="right", no_wrap=True)
    for step in report.steps:
        table.add_row(
            f"{step.stage}\n{text.outcome(step, report)}",
            text.count(step.params),
            text.count(step.macs),
            text.size(step.memory_access_bytes),
            _lines(text.size(step.size_bytes), text.size(step.compressed_size_bytes)),
            _quality(step),
            _latency(step.latency_ms, sources),
            style="" if step.kept else "dim",
        )
    console.print(table)


def _rivals(console: Console, report: Report, sources: Sequence[str]) -> None:
    console.print("\nRivals, measured in one interleaved run", style="bold")
    rows = [
        (
            f"  {rival.name}",
            rival.precision,
            _latency(rival.latency_ms, sources),
            text.percent(rival.val_accuracy),
            text.size(rival.size_bytes),
            "shipped" if rival.shipped else "",
        )
        for rival in report.rivals
    ]
    print_table(
        console,
        ("  file", "precision", "latency p50 / p90", f"val {text.metric(report)}", "size", ""),
        rows,
        numbers=("latency p50 / p90", f"val {text.metric(report)}", "size"),
    )
    for rival in report.rivals:
        if rival.why:
            console.print(f"  {rival.name}: {rival.why}", soft_wrap=True)


def _quality(step: Step) -> str:
    """Accuracy on the splits that it was taken on; without labels the fidelity to the float network."""
    if step.val_accuracy is None and step.accuracy is None:
        return text.decibels(step.fidelity_db)
    figures = ((step.val_accuracy, "val "), (step.accuracy, "test"))
    return "\n".join(f"{text.percent(share)} {split}" for share, split in figures if share is not None)


def _latency(latency: Latency | None, sources: Sequence[str]) -> str:
    if latency is None:
        return NONE
    kind = latency.source.partition(":")[0]
    return f"{text.milliseconds(latency)}\n{kind} [{sources.index(latency.source) + 1}]"


def _lines(*values: str) -> str:
    """One under the other; a second one that was not taken is left out."""
    return "\n".join([values[0], *(value for value in values[1:] if value != NONE)])


def _proof(report: Report, parity: Parity) -> Iterable[str]:
    share = parity.top1_agreement
    agreement = "" if share is None else f", {text.agreement(report, share)}"
    sqnr, weighted = text.decibels(parity.sqnr_db), parity.weighted_operators
    measured_on = (report.profile or {}).get("device")
    where = f" on {parity.device}" if parity.device not in {"", measured_on} else ""
    yield f"run in {parity.runtime}{where}: {sqnr} SQNR to its network over {parity.samples} inputs{agreement}"
    in_file, executed = parity.integer_operators_in_file, parity.integer_operators_executed
    yield (
        f"weighted operators on 8-bit integers: {in_file} of {weighted} in the file, "
        f"{executed} as {parity.executed_by} ran it"
    )
    if parity.rules:
        yield f"read against the rules of {parity.rules}: none is broken"
    if parity.first_divergence:
        yield f"first layer that diverges: {parity.first_divergence}"
    for tried in parity.repair:
        yield f"repair tried: {tried}"


def _budget(console: Console, report: Report) -> None:
    held = text.listed(text.budget_lines(report))
    if report.budget_failures:
        _paragraph(console, "Budget missed", report.budget_failures, style="bold red")
    elif held:
        _paragraph(console, "Within budget", (held,), style="bold green")


def _paragraph(console: Console, title: str, lines: Iterable[str], *, style: str = "bold") -> None:
    found = list(lines)
    if not found:
        return
    console.print(f"\n{title}", style=style)
    for line in found:
        console.print(f"  {line}", soft_wrap=True)
