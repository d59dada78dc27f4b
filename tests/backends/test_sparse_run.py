"""Whole runs, small: a pattern is held through pruning, recovery and INT8, and read back out of each kind of file."""

from __future__ import annotations

from pathlib import Path

import pytest
from small_runs import recipe, request

from edgekit.artifact import load_artifact
from edgekit.exporters import weights_in
from edgekit.patterns import density, pattern_of
from edgekit.pipeline import compress, resolve
from edgekit.pipeline.loading import load

pytestmark = pytest.mark.usefixtures("brief")

STAGES = """
[[stages]]
kind = "sparsify"
{pattern}

[[stages]]
kind = "prune"
macs = 0.7

[[stages]]
kind = "recover"
epochs = 2

[[stages]]
kind = "quantize"
method = "{{method}}"
qat_epochs = 1
calibration_samples = 64
"""


@pytest.mark.parametrize(
    ("target", "method", "pattern", "text"),
    [
        ("raspberry-pi-5", "ptq", 'pattern = "block-4x1"\nsparsity = 0.5', "block-4x1@50%"),
        ("intel-npu", "qat", 'pattern = "kernel-4"', "kernel-4"),
        (
            "jetson",
            "ptq",
            'pattern = "unstructured"\nsparsity = 0.75\nschedule = "polynomial"\nepochs = 2\nselection = "taylor"',
            "unstructured@75%",
        ),
    ],
)
def test_a_pattern_comes_through(target: str, method: str, pattern: str, text: str, tmp_path: Path) -> None:
    stages = STAGES.format(pattern=pattern).replace("{method}", method)
    done = compress(resolve(request(tmp_path, target=target, recipe=recipe(tmp_path, stages=stages))))
    rows = {step.stage: step for step in done.report.steps}
    assert [name for name, step in rows.items() if step.kept] == list(rows)
    wanted = load(done.folder).sparsity
    assert set(wanted.values()) == {text}
    stored = weights_in(load_artifact(done.folder))
    for layer in wanted:
        assert pattern_of(text).holds(stored[layer])
        assert density(stored[layer]) < 0.75
    assert len(rows["export"].details["sparsity_in_file"]) == len(wanted)
    assert any("it can only save size" in line for line in done.report.warnings)
