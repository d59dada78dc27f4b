"""Whole runs, small: a narrow MobileNetV2 at 32×32 through every stage, resumed, rolled back, refused."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import edgekit
from edgekit.artifact import load_artifact
from edgekit.bench import Protocol
from edgekit.errors import BudgetError, InputError
from edgekit.exporters import weights_in
from edgekit.graph.cost import cost
from edgekit.model import Source
from edgekit.pipeline import assess, compress, resolve
from edgekit.progress import Advance, Silent
from edgekit.report import Report
from edgekit.request import Request
from edgekit.stages.sparsity import holds
from edgekit.zoo import build

STAGES = """
[[stages]]
kind = "sparsify"
pattern = "target"

[[stages]]
kind = "prune"
macs = 0.6

[[stages]]
kind = "recover"
epochs = 4

[[stages]]
kind = "quantize"
method = "{method}"
qat_epochs = 1
calibration_samples = 64
"""
HEAD = 'id = "{id}"\ntitle = "small"\n[train]\nepochs = 8\n'
KEYS = {"stage", "kept", "reason", "seconds", "params", "macs", "memory_access_bytes", "size_bytes", "val_accuracy",
        "accuracy", "latency_ms"}  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def small(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A cache of one's own, and measurements as short as they can be: no test here looks at a latency's value."""
    brief = Protocol(blocks=1, warmup_seconds=0.01, min_seconds=0.01, max_seconds=0.2, min_samples=3)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(assess, "PROTOCOL", brief)
        yield


def recipe(folder: Path, *, drop: float = 100, method: str = "ptq", stages: str = STAGES) -> str:
    path = folder / "small.toml"
    body = stages.format(method=method) if "{method}" in stages else stages
    path.write_text(f"{HEAD.format(id='small')}{body}\n[budget]\naccuracy_drop = {drop}\n")
    return str(path)


def request(folder: Path, *, target: str = "jetson", **options: object) -> Request:
    values: dict[str, object] = {
        "recipe": None,
        "out": folder / "run",
        "input_size": 32,
        "width": 0.35,
        "threads": 1,
    }
    values |= options
    values["recipe"] = values["recipe"] or recipe(folder)
    return Request(model="mobilenetv2", target=target, **values)  # type: ignore[arg-type]


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
    assert report.parity.integer_operators_in_file == report.parity.weighted_operators == 53
    assert report.artifact.precision == "int8"


def test_the_pattern_is_in_the_shipped_file(run: tuple[Report, Path]) -> None:
    report, folder = run
    layers = report.steps[1].details["layers"]
    lost = report.steps[2].details["pattern_lost"]
    stored = weights_in(load_artifact(folder))
    held = [layer for layer in layers if holds(torch.tensor(stored[layer]), "2:4")]
    assert held == [layer for layer in layers if layer not in lost]
    assert len(held) > 20


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


def test_what_recovery_cannot_save_is_rolled_back(tmp_path: Path) -> None:
    stages = STAGES.replace("epochs = 4", "epochs = 1").replace("macs = 0.6", "macs = 0.3")
    done = compress(
        resolve(
            request(
                tmp_path, target="host", recipe=recipe(tmp_path, drop=0, stages=stages.format(method="ptq"))
            )
        )
    )
    rows = {step.stage: step for step in done.report.steps}
    assert not rows["prune"].kept
    assert "after recovery" in rows["prune"].reason
    assert rows["export"].macs == rows["baseline"].macs
    assert rows["export"].val_accuracy is not None
    assert rows["baseline"].val_accuracy is not None
    assert rows["export"].val_accuracy >= rows["baseline"].val_accuracy


def test_sparsity_that_a_target_cannot_exploit_is_rolled_back(tmp_path: Path) -> None:
    stages = '[[stages]]\nkind = "sparsify"\n'
    done = compress(resolve(request(tmp_path, target="host", recipe=recipe(tmp_path, stages=stages))))
    assert not done.report.steps[1].kept
    assert done.report.steps[1].reason == "onnxruntime on host exploits no sparsity pattern"


def test_latency_only_says_nothing_about_accuracy(tmp_path: Path) -> None:
    done = compress(resolve(request(tmp_path, recipe="latency-only", target="host")))
    assert all(step.accuracy is None and step.val_accuracy is None for step in done.report.steps)
    assert any("random calibration" in line for line in done.report.warnings)
    assert done.report.steps[-1].latency_ms is not None


def test_unlabelled_pictures_calibrate_given_weights(tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    generator = np.random.default_rng(0)
    for index in range(24):
        noise = generator.integers(0, 255, (40, 40, 3)).astype(np.uint8)
        Image.fromarray(noise).save(pictures / f"{index}.png")
    torch.manual_seed(0)
    weights = tmp_path / "weights.safetensors"
    save_file(build(Source(name="mobilenetv2", num_classes=7, width=0.35)).state_dict(), weights)
    done = compress(resolve(request(tmp_path, data=pictures, weights=weights, recipe=recipe(tmp_path))))
    rows = {step.stage: step for step in done.report.steps}
    assert rows["export"].accuracy is None
    assert rows["export"].fidelity_db is not None
    assert not rows["prune"].kept
    assert "no labelled" in rows["prune"].reason
    assert rows["quantize"].kept
    assert done.report.model["classes"] == 7


def test_weights_without_data_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--weights without --data") as error:
        resolve(request(tmp_path, weights=tmp_path / "w.safetensors"))
    assert "latency-only" in error.value.hint


def test_an_impossible_budget_says_what_could_be_reached(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="are left when every group has 16 channels"):
        compress(resolve(request(tmp_path, max_macs=0.0001)))
    assert not (tmp_path / "run" / "report.json").exists()


def test_a_missed_budget_is_reported_not_hidden(tmp_path: Path) -> None:
    done = compress(resolve(request(tmp_path, target="host", max_latency_ms=1e-6)))
    assert any("budget 1e-06 ms" in failure for failure in done.report.budget_failures)
