"""Whole runs, small: what is rolled back, what ships on other targets, what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from small_runs import MODEL, STAGES, WEIGHTED, WIDTH, recipe, request

import edgekit
from edgekit.artifact import load_artifact
from edgekit.bench import Candidate, Failure
from edgekit.bench import compare as measured_together
from edgekit.data.random import random_data
from edgekit.errors import BudgetError, InputError, MissingError
from edgekit.measurement import Profile
from edgekit.model import Preprocessing, Source
from edgekit.pipeline import compress, resolve
from edgekit.stages.training import recalibrate
from edgekit.zoo import build

pytestmark = pytest.mark.usefixtures("brief")


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
    assert done.report.steps[1].reason == (
        "onnxruntime on host exploits no sparsity pattern: ONNX Runtime's CPU kernels have no sparse path"
    )


def test_latency_only_says_nothing_about_accuracy(tmp_path: Path) -> None:
    done = compress(resolve(request(tmp_path, recipe="latency-only", target="host")))
    assert all(step.accuracy is None and step.val_accuracy is None for step in done.report.steps)
    assert any("random calibration" in line for line in done.report.warnings)
    assert all("random calibration" in step.reason for step in done.report.steps)
    assert done.report.recipe["budget"]["accuracy_drop"] is None
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
    network = build(Source(name=MODEL, num_classes=7, width=WIDTH))
    ready = Preprocessing(height=32, width=32, mean=(0.5,) * 3, std=(0.5,) * 3)
    recalibrate(network, random_data(ready, seed=0).calibration, "cpu")  # else activations die out on the way
    save_file(network.state_dict(), weights)
    done = compress(resolve(request(tmp_path, data=pictures, weights=weights, recipe=recipe(tmp_path))))
    rows = {step.stage: step for step in done.report.steps}
    assert rows["export"].accuracy is None
    assert rows["export"].fidelity_db is not None
    assert not rows["prune"].kept
    assert "no labelled" in rows["prune"].reason
    assert rows["quantize"].kept
    assert done.report.model["classes"] == 7
    assert done.report.budget_failures == ()
    assert done.report.recipe["budget"]["accuracy_drop"] is None
    with pytest.raises(InputError, match="--max-accuracy-drop without labelled"):
        resolve(request(tmp_path, data=pictures, weights=weights, max_accuracy_drop=1))


def test_weights_without_data_are_refused_with_the_way_out(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="--weights without --data") as error:
        resolve(request(tmp_path, weights=tmp_path / "w.safetensors"))
    assert "latency-only" in error.value.hint


def test_a_missing_package_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.optional.installed", lambda module: module != "litert_torch")
    with pytest.raises(MissingError, match="litert_torch is not installed") as error:
        resolve(request(tmp_path, target="raspberry-pi-5"))
    assert error.value.hint == "pip install 'edgekit[litert]'"


def test_an_impossible_budget_says_what_could_be_reached(tmp_path: Path) -> None:
    with pytest.raises(BudgetError, match="are left when every layer is as narrow as it can be"):
        compress(resolve(request(tmp_path, max_macs=0.0001)))
    assert not (tmp_path / "run" / "report.json").exists()


def test_widths_that_leave_the_target_s_multiple_are_said(tmp_path: Path) -> None:
    stages = '[[stages]]\nkind = "prune"\nmacs = 0.05\n'
    report = compress(resolve(request(tmp_path, recipe=recipe(tmp_path, stages=stages)))).report
    (pruned,) = (step for step in report.steps if step.stage == "prune")
    assert pruned.kept
    assert pruned.details["channel_multiple"] == 8
    assert any("prune: widths are multiples of 8, for in multiples of 16" in line for line in report.warnings)


def test_a_missed_budget_is_reported_not_hidden(tmp_path: Path) -> None:
    done = compress(resolve(request(tmp_path, target="host", max_latency_ms=1e-6)))
    assert any("budget 1e-06 ms" in failure for failure in done.report.budget_failures)


@pytest.mark.parametrize(("target", "batch"), [("intel-cpu", 1), ("raspberry-pi-5", 3)])
def test_other_targets_ship_what_their_runtime_ran(target: str, batch: int, tmp_path: Path) -> None:
    stages = '[[stages]]\nkind = "quantize"\nmethod = "qat"\nqat_epochs = 1\ncalibration_samples = 64\n'
    report = compress(
        resolve(request(tmp_path, target=target, batch=batch, recipe=recipe(tmp_path, stages=stages)))
    ).report
    parity, quantized = report.parity, report.steps[1]
    assert parity is not None
    assert load_artifact(tmp_path / "run").manifest.inputs[0].shape[0] == batch
    assert any(f"for {batch} pictures at once" in line for line in report.warnings) == (batch > 1)
    assert parity.sqnr_db >= 25 or parity.first_divergence
    assert quantized.details["method"] in ("ptq", "qat")
    assert quantized.size_bytes is not None
    if report.artifact.precision == "int8":
        assert parity.sqnr_db >= 12
        floats = quantized.details.get("float_operators", [])  # where this machine's OpenVINO was faster so
        assert parity.integer_operators_executed == parity.integer_operators_in_file == WEIGHTED - len(floats)
        assert parity.weighted_operators == WEIGHTED
    else:  # this machine is an Intel CPU: there the faster file ships
        assert target == "intel-cpu"
        assert "faster" in quantized.reason or "slower" in quantized.reason


def test_int8_that_fails_in_the_last_run_gives_way_to_float(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(candidates: list[Candidate], *arguments: Any, **options: Any) -> dict[str, Profile | Failure]:
        found: dict[str, Profile | Failure] = measured_together(candidates, *arguments, **options)
        return found | {name: Failure("hang", "no answer") for name in found if name.startswith("shipped|")}

    monkeypatch.setattr("edgekit.pipeline.assess.compare", failing)
    stages = '[[stages]]\nkind = "quantize"\nmethod = "ptq"\ncalibration_samples = 64\n'
    report = compress(resolve(request(tmp_path, recipe=recipe(tmp_path, stages=stages)))).report
    quantized = report.steps[1]
    assert (report.artifact.precision, quantized.kept) == ("fp32", False)
    assert quantized.reason == "onnxruntime: no answer"
    assert {rival.name: rival.latency_ms for rival in report.rivals}["INT8"] is None
    assert edgekit.load(tmp_path / "run").quantization is None


def test_where_int8_is_given_up_nothing_ships_to_a_target_of_integers_alone(tmp_path: Path) -> None:
    """A recipe that counts what INT8 does not change; a float file would be of no use there."""
    stages = '[[stages]]\nkind = "quantize"\ncalibration_samples = 16\ncounts = ["macs"]\n'
    job = resolve(request(tmp_path, target="microcontroller", recipe=recipe(tmp_path, stages=stages)))
    with pytest.raises(
        BudgetError, match="microcontroller takes INT8 files alone, and INT8 was given up: no gain"
    ):
        compress(job)
