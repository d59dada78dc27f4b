"""Whole runs, small: channels trained towards zero stand or fall with the prune behind them."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_runs import recipe, request

from edgekit.pipeline import compress, resolve
from edgekit.pipeline.verdict import WITHDRAWN

pytestmark = pytest.mark.usefixtures("brief")

STAGES = """
[[stages]]
kind = "sparsify"
pattern = "channel"
epochs = 2

[[stages]]
kind = "prune"
macs = 0.6
counts = ["{counts}"]
"""


def test_pruning_what_was_trained_to_zero_costs_nothing(tmp_path: Path) -> None:
    stages = STAGES.format(counts="macs")
    report = compress(
        resolve(request(tmp_path, target="host", recipe=recipe(tmp_path, stages=stages)))
    ).report
    rows = {step.stage: step for step in report.steps}
    assert rows["sparsify"].kept
    assert rows["sparsify"].reason.endswith("counts with the next prune")
    assert rows["sparsify"].details["norm_share_after"] == 0
    assert rows["prune"].kept
    assert rows["prune"].val_accuracy == rows["sparsify"].val_accuracy


def test_without_its_prune_it_is_rolled_back(tmp_path: Path) -> None:
    stages = STAGES.format(counts="accuracy")  # which a prune does not raise
    done = compress(resolve(request(tmp_path, target="host", recipe=recipe(tmp_path, stages=stages))))
    rows = {step.stage: step for step in done.report.steps}
    assert (rows["prune"].kept, rows["prune"].reason) == (False, "no gain on accuracy")
    assert (rows["sparsify"].kept, rows["sparsify"].reason) == (False, WITHDRAWN)
    assert rows["export"].macs == rows["baseline"].macs
