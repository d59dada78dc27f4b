"""A whole run, small, for the Jetson: every stage, its proof, its files; interrupted and resumed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from small_runs import WEIGHTED, recipe, request
from torch import nn

import edgekit
from edgekit.artifact import load_artifact
from edgekit.errors import InputError
from edgekit.exporters import weights_in
from edgekit.graph.cost import cost
from edgekit.patterns import pattern_of
from edgekit.pipeline import compress, resolve
from edgekit.progress import Advance, Silent
from edgekit.report import Report

pytestmark = pytest.mark.usefixtures("brief")
KEYS = {"stage", "kept", "reason", "seconds", "params", "macs", "memory_access_bytes", "size_bytes", "val_accuracy",
        "accuracy", "latency_ms"}  # fmt: skip


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    folder = tmp_path_factory.mktemp("jetson")
    done = compress(resolve(request(folder)))
    return done.report, done.folder


def test_every_stage_has_its_row(run: tuple[Report, Path]) -> None:
    report, folder = run
    assert [step.stage for step in report.steps] == [
        "baseline",
        "sparsify",
        "prune",
        "recover",
        "quantize",
        "export",
    ]
    written = json.loads((folder / "report.json").read_text())
    assert written["schema_version"] == 1
    assert all(step.keys() >= KEYS for step in written["steps"])
    assert written["steps"][-1]["macs"] <= 0.6 * written["steps"][0]["macs"]
    assert written["steps"][0]["accuracy"] is not None
    assert all(step["accuracy"] is None for step in written["steps"][1:-1])  # the test split is read once
    assert written["steps"][-1]["latency_ms"]["source"].startswith("proxy:onnxruntime on local")
    assert (folder / "report.html").stat().st_size > 10_000


def test_the_shipped_file_is_int8_and_close(run: tuple[Report, Path]) -> None:
    report, _ = run
    assert report.parity is not None
    # So small and briefly trained a network magnifies roundings; then the first layer that departs is named.
    assert report.parity.sqnr_db >= 25 or report.parity.first_divergence
    assert report.parity.sqnr_db >= 12
    assert report.parity.top1_agreement is not None
    assert report.parity.top1_agreement >= 0.9
    assert report.parity.integer_operators_in_file == report.parity.weighted_operators == WEIGHTED
    assert report.parity.integer_operators_executed == report.parity.weighted_operators
    assert report.parity.executed_by == "openvino"
    assert report.artifact.precision == "int8"


def test_the_pattern_is_in_the_shipped_file(run: tuple[Report, Path]) -> None:
    report, folder = run
    layers = report.steps[1].details["layers"]
    lost = report.steps[2].details["pattern_lost"]
    stored = weights_in(load_artifact(folder))
    held = [layer for layer in layers if pattern_of("2:4").holds(stored[layer])]
    assert held == [layer for layer in layers if layer not in lost]
    assert len(held) > 10


def test_the_masked_check_ran_on_the_real_prune(run: tuple[Report, Path]) -> None:
    assert run[0].steps[2].details["masked_difference"] <= 1e-9


def test_a_pruned_checkpoint_is_a_plain_module(run: tuple[Report, Path]) -> None:
    report, folder = run
    model = edgekit.load(folder / "checkpoints" / "03-recover")
    assert isinstance(model.module, nn.Module)
    assert not isinstance(model.module, torch.fx.GraphModule)
    assert cost(model.module, model.input_shape).macs == report.steps[3].macs
    assert edgekit.load(folder).quantization is not None


def test_the_float_rival_ships_beside(run: tuple[Report, Path]) -> None:
    report, folder = run
    rival = load_artifact(folder / "artifact" / "float")
    assert rival.manifest.precision == "fp32"
    assert [entry.shipped for entry in report.rivals].count(True) == 1


class Interrupting(Silent):
    """Interrupts the run when a step of that title has advanced once."""

    def __init__(self, title: str) -> None:
        self.title = title

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:
        with super().task(title, total) as advance:

            def stop(steps: int = 1, *, note: str = "") -> None:
                if title == self.title:
                    raise KeyboardInterrupt
                advance(steps, note=note)

            yield stop


@pytest.mark.parametrize("title", ["recover", "calibrate"])
def test_a_resumed_run_ends_with_the_same_file(title: str, run: tuple[Report, Path], tmp_path: Path) -> None:
    wanted = request(tmp_path, recipe=recipe(tmp_path))
    with pytest.raises(KeyboardInterrupt):
        compress(resolve(wanted), Interrupting(title))
    left = [path for path in wanted.out.rglob("*") if path.name.startswith(".") and path.name != ".lock"]  # type: ignore[union-attr]
    assert left == []
    assert not (tmp_path / "run" / "report.json").exists()
    with pytest.raises(InputError, match="already holds a run") as refused:
        compress(resolve(wanted))
    assert "--resume" in refused.value.hint
    resumed = compress(resolve(request(tmp_path, recipe=wanted.recipe, resume=True))).report
    assert resumed.artifact.sha256 == run[0].artifact.sha256
    assert [step.val_accuracy for step in resumed.steps] == [step.val_accuracy for step in run[0].steps]


def test_resuming_with_other_options_is_refused(run: tuple[Report, Path], tmp_path: Path) -> None:
    other = request(tmp_path, out=run[1], resume=True, seed=7)
    with pytest.raises(InputError, match=r"holds a run with another .*seed"):
        compress(resolve(other))
