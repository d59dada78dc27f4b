"""A report's figures in words."""

from __future__ import annotations

import pytest

from edgekit import report_text as text
from edgekit.report import Latency, Report


@pytest.mark.parametrize(
    ("value", "baseline", "words"),
    [
        (48, 100, "−52 %"),
        (110, 100, "+10 %"),
        (100, 100, ""),
        (None, 100, ""),
        (5, None, ""),
        (5, 0, ""),
    ],
)
def test_relative(value: float | None, baseline: float | None, words: str) -> None:
    assert text.relative(value, baseline) == words


def test_gains_compare_the_shipped_file_with_the_baseline(report: Report) -> None:
    size, macs, latency, accuracy = text.gains(report)
    assert (size.before, size.after, size.change) == ("8.99 MB", "1.11 MB", "8.1 times smaller")
    assert macs.change == "2.0 times fewer"
    assert latency.change == "2.9 times faster"
    assert latency.source.startswith("proxy:")
    assert accuracy.change == "−0.55 points"


def test_latencies_from_different_places_are_not_compared(report: Report) -> None:
    first = report.steps[0].model_copy(update={"latency_ms": Latency(p50=9, p90=9, source="estimate")})
    latency = text.gains(report.model_copy(update={"steps": (first, *report.steps[1:])}))[2]
    assert latency.change == ""
    assert latency.before == ""
    assert latency.source.startswith("proxy:")


def test_a_slower_file_is_called_slower(report: Report) -> None:
    first = report.steps[0].latency_ms
    assert first is not None
    slower = report.steps[-1].model_copy(
        update={"latency_ms": first.model_copy(update={"p50": 2 * first.p50})}
    )
    found = text.gains(report.model_copy(update={"steps": (*report.steps[:-1], slower)}))
    assert found[2].change == "2.0 times slower"


def test_without_labelled_data_fidelity_takes_the_place_of_accuracy(report: Report) -> None:
    steps = tuple(step.model_copy(update={"accuracy": None, "val_accuracy": None}) for step in report.steps)
    last = text.gains(report.model_copy(update={"steps": steps}))[-1]
    assert (last.name, last.after) == ("fidelity to the float network", "15.2 dB")


def test_budget_in_words(report: Report) -> None:
    def told(recipe: dict[str, object], task: str = "classification") -> list[str]:
        return text.budget_lines(report.model_copy(update={"recipe": recipe, "model": {"task": task}}))

    budget = {"accuracy_drop": 1.0, "latency_ms": 2.5, "macs": 3e8, "size_bytes": None}
    assert text.listed(told({"budget": budget})) == (
        "accuracy drop of at most 1 point, latency of at most 2.5 ms and at most 300.0 M MACs"
    )
    assert told({"budget": {"macs": 0.5}}) == ["at most 50 % of the MACs"]
    assert told({}) == []
    assert told({"budget": budget}, "segmentation")[0] == "IoU drop of at most 1 point"


def test_decibels_at_the_cap_are_no_difference() -> None:
    assert [text.decibels(value) for value in (None, 34.06, 200.0)] == ["–", "34.1 dB", "identical"]
