"""What a run prints at its end, at the widths that terminals have."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console

from edgekit.cli.stage_table import print_report
from edgekit.report import Latency, Report


def printed(report: Report, width: int = 100) -> str:
    stream = io.StringIO()
    print_report(Console(file=stream, width=width, highlight=False, markup=False), report, Path("runs/x"))
    return stream.getvalue()


@pytest.mark.parametrize("width", [80, 100, 120])
def test_every_figure_is_readable(report: Report, width: int) -> None:
    text = printed(report, width)
    table, _, rest = text.partition("\nWhy\n")
    assert "…" not in text
    assert max(len(line) for line in table.splitlines() if not line.startswith("[")) <= width
    for step in report.steps:
        assert step.stage in table
        assert step.reason in rest
    for figure in (
        "98.89 % val",
        "98.61 % test",
        "98.06 % test",
        "0.34 / 0.39 ms",
        "25.5 M",
        "12.14 MB",
        "8.99 MB",
        "rolled back",
    ):
        assert figure in table
    assert table.count("proxy [1]") == len(report.steps)


def test_the_verdict_the_proof_and_the_way_on(report: Report) -> None:
    text = printed(report)
    for line in (
        "accuracy drop of at most 1 point and at most 50 % of the MACs",
        "41.3 dB SQNR to its network over 64 inputs",
        "53 of 53 in the file",
        "runs/x/report.html",
        "bash build_engine.sh",
        "demonstration data",
        "float, pruned: the target runs INT8",
        report.artifact.path,
    ):
        assert line in text


@pytest.mark.parametrize(("device", "named"), [("Intel(R) Xeon(R)", False), ("local (a CPU)", True)])
def test_outputs_of_another_machine_than_the_latency_s_name_it(
    report: Report, device: str, named: bool
) -> None:
    assert report.parity is not None
    parity = report.parity.model_copy(update={"device": device})
    text = printed(report.model_copy(update={"parity": parity}))
    assert (f"run in onnxruntime on {device}: " in text) == named
    assert ("run in onnxruntime: " in text) != named


def test_a_missed_budget_says_what_was_reached(report: Report) -> None:
    text = printed(
        report.model_copy(update={"budget_failures": ("latency: 3.1 ms reached, 2 ms asked for",)})
    )
    assert "Budget missed\n  latency: 3.1 ms reached, 2 ms asked for" in text
    assert "Within budget" not in text


def test_each_source_has_its_number(report: Report) -> None:
    moved = report.steps[-1].model_copy(
        update={"latency_ms": Latency(p50=1, p90=2, source="measured:Jetson Orin Nano")}
    )
    text = printed(report.model_copy(update={"steps": (*report.steps[:-1], moved)}))
    assert "measured [2]" in text
    assert "[2] measured:Jetson Orin Nano\n" in text


def test_figures_that_were_not_taken(report: Report) -> None:
    steps = tuple(
        step.model_copy(
            update={"latency_ms": None, "size_bytes": None, "accuracy": None, "val_accuracy": None}
        )
        for step in report.steps
    )
    text = printed(
        report.model_copy(
            update={"steps": steps, "rivals": (), "parity": None, "recipe": {"id": "latency-only"}}
        )
    )
    assert "None" not in text
    assert "15.2 dB" in text
    assert "budget" not in text.lower()
