"""The comparison of INT8 quantizers: what its tables conclude from rows."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from edgekit.metrics import metric_of
from edgekit.model import Task

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))

    def load(name: str) -> ModuleType:
        return importlib.import_module(name)

    return load


CELL = {
    "edgekit": {"p50_ms": 1.0},
    "NNCF": {"p50_ms": 2.0},
    "float bf16": {"p50_ms": 1.1},
    "ONNX Runtime": {"failed": "SIGSEGV"},
}


@pytest.mark.parametrize(
    ("ratios", "word"),
    [
        ((0.90, 0.91, 0.92, 0.91, 0.90), "faster"),
        ((1.02, 1.00, 1.01, 1.02, 1.01), "within"),
        ((1.00, 1.20, 0.90, 1.01, 1.10), "undecided"),
        ((1.10, 1.12, 1.11, 1.10, 1.13), "slower"),
    ],
)
def test_ours_is_held_against_the_fastest_other_file(
    benchmark: Any, ratios: tuple[float, ...], word: str
) -> None:
    assert benchmark("int8_rows").fastest_rival(CELL) == "float bf16"
    assert benchmark("int8_costs").against_fastest(CELL, [{"ratios": ratios}])[1] == word


def test_what_did_not_run_decides_nothing(benchmark: Any) -> None:
    against = benchmark("int8_costs").against_fastest
    assert against(CELL, []) == ("", "undecided")
    assert against(CELL, [{"failed": "SIGSEGV"}]) == ("", "fails")
    assert against({"edgekit": {"p50_ms": 1.0}}, []) == ("", "within")


def test_a_file_of_ours_that_fails_is_no_win(benchmark: Any) -> None:
    costs = benchmark("int8_costs")
    cell = {"edgekit": {"failed": "SIGSEGV"}, "NNCF": {"p50_ms": 1.0}}
    assert benchmark("int8_rows").fastest_rival(cell) is None
    _, word = costs.against_fastest(cell, [])
    assert word == "fails"
    assert "every one: **missed**" in costs.latency_verdict([word, "faster", "faster"])
    assert "most: **held**" in costs.latency_verdict([word, "faster", "faster"])


@pytest.mark.parametrize("task", ["classification", "segmentation"])
def test_tallies_add_up_to_the_metric(benchmark: Any, task: Task) -> None:
    rng = np.random.default_rng(0)
    size = (40, 10) if task == "classification" else (40, 1, 6, 6)
    outputs = rng.standard_normal(size).astype(np.float32)
    truth = rng.integers(0, 10, 40) if task == "classification" else rng.integers(0, 2, (40, 6, 6))

    class Split:
        targets = truth

    found = benchmark("int8").tallies(task, outputs, Split)
    expected = metric_of(task).score(outputs, truth).value
    assert sum(found["hits"]) / sum(found["of"]) == pytest.approx(expected)


def row(quantizer: str, hits: list[int], family: str = "net") -> dict[str, Any]:
    where = {"kind": "accuracy", "family": family, "seed": 0, "pixels": 32, "runtime": "openvino"}
    return {**where, "quantizer": quantizer, "accuracy": np.mean(hits), "hits": hits, "of": [1] * len(hits)}


def test_losses_are_points_of_the_float_file(benchmark: Any) -> None:
    table = benchmark("int8_table")
    rows = [row("float f32", [1, 1, 1, 0]), row("edgekit", [1, 1, 0, 0])]
    assert table.loss_entry(rows, "edgekit", "openvino", "net").startswith("+25.00 [")
    assert table.loss_verdict(rows, "edgekit", "openvino").endswith("too few to tell")


def test_the_goal_of_accuracy_is_missed_where_too_much_is_lost(benchmark: Any) -> None:
    table = benchmark("int8_table")
    names = [f"net{place}" for place in range(6)]
    base = [row("float f32", [1] * 200, name) for name in names]
    near = base + [row("edgekit", [1] * 199 + [1 - place % 2], name) for place, name in enumerate(names)]
    far = base + [row("edgekit", [1] * 190 + [0] * 10, name) for name in names]
    assert "**held**" in table.loss_verdict(near, "edgekit", "openvino")
    assert "**missed**" in table.loss_verdict(far, "edgekit", "openvino")


def test_what_failed_is_named(benchmark: Any) -> None:
    wrong = {"kind": "accuracy", "family": "net", "seed": 1, "pixels": 32, "quantizer": "NNCF",
             "runtime": "openvino", "failed": "SIGSEGV killed openvino"}  # fmt: skip
    (line,) = [text for text in benchmark("int8_table").failures([wrong]) if text.startswith("-")]
    assert line == "- net at 32×32, seed 1: NNCF, in OpenVINO: SIGSEGV killed openvino"


def test_a_part_is_written_and_the_others_stay(benchmark: Any, tmp_path: Path) -> None:
    page, results = tmp_path / "page.md", tmp_path / "rows.jsonl"
    page.write_text(
        "<!-- int8-size -->\nas before\n<!-- /int8-size -->\n<!-- int8-failures -->\n<!-- /int8-failures -->\n"
    )
    wrong = row("NNCF", [1]) | {"failed": "SIGSEGV killed openvino"}
    results.write_text(json.dumps(wrong, default=float) + "\n")
    table = benchmark("int8_table")
    table.main(results, page, [table.Part.FAILURES], write=True)
    assert "as before" in page.read_text()
    assert "NNCF, in OpenVINO: SIGSEGV killed openvino" in page.read_text()


def test_what_ships_is_told_with_its_operators_in_float(benchmark: Any) -> None:
    where = {"kind": "shipped", "family": "net", "runtime": "onnxruntime", "rival": "NNCF", "weighted": 54}
    mixed = where | {"precision": "int8", "in_float": 22, "ratios": [0.75] * 16}
    plain = where | {"precision": "float bf16", "in_float": 0, "ratios": [1.01] * 16}
    failed = where | {"precision": "int8", "in_float": 0, "failed": "SIGSEGV"}
    lines = [line for line in benchmark("int8_costs").shipped([mixed, plain, failed]) if "| net |" in line]
    assert "| int8, 22 of 54 operators in float | 0.750 [0.750, 0.750] | faster (NNCF) |" in lines[0]
    assert "| float bf16 | 1.010 [1.010, 1.010] | within (NNCF) |" in lines[1]
    assert lines[2].endswith("| fails (NNCF) |")
