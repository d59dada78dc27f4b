"""UNeXt on every runtime, and one whole run of it: trained, pruned, recovered, quantized, shipped, evaluated."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from small_networks import pictures
from torch import nn

from edgekit.artifact import load_artifact
from edgekit.bench import Protocol, predict
from edgekit.devices import open_device
from edgekit.errors import InputError
from edgekit.exporters import export, integer_counts, weights_in
from edgekit.model import Model
from edgekit.parity import sqnr_db
from edgekit.pipeline import assess, compress, resolve
from edgekit.pipeline.evaluating import evaluate
from edgekit.pipeline.network import new_model, preprocessing_of
from edgekit.quantizer.calibrate import calibrate
from edgekit.quantizer.outputs import network_outputs
from edgekit.report import Report
from edgekit.request import Request
from edgekit.stages.training import outputs, score
from edgekit.target import load_target
from edgekit.zoo import architecture

SIDE = 64
WEIGHTED = 23
"""Five convolutions down, six up with the last, a depthwise one and two linear layers in each of four blocks."""
RECIPE = """
id = "small"
title = "small"
[train]
epochs = 3

[[stages]]
kind = "prune"
macs = 0.85

[[stages]]
kind = "recover"
epochs = 1

[[stages]]
kind = "quantize"
calibration_samples = 64

[budget]
accuracy_drop = 20
"""


def unext(side: int) -> Model:
    found = architecture("unext-s")
    return new_model(found, preprocessing_of(found, side))


@pytest.fixture(scope="module")
def network() -> Model:
    """UNeXt-S whose norms have seen something, with random weights."""
    model = unext(SIDE)
    torch.manual_seed(0)
    for part in model.module.modules():
        if isinstance(part, nn.BatchNorm2d | nn.LayerNorm):
            nn.init.uniform_(part.weight, 0.5, 1.5)
            nn.init.normal_(part.bias, 0, 0.2)
        if (
            isinstance(part, nn.BatchNorm2d)
            and part.running_mean is not None
            and part.running_var is not None
        ):
            part.running_mean.normal_(0, 0.2)
            part.running_var.uniform_(0.5, 2)
    return model


@pytest.mark.slow
@pytest.mark.parametrize("target", ["jetson", "host", "intel-cpu", "raspberry-pi-5"])
def test_files_compute_what_the_quantized_network_does(target: str, network: Model, tmp_path: Path) -> None:
    goal, images = load_target(target), pictures(4, SIDE, seed=1)
    model = replace(network, quantization=calibrate(network, goal.int8, [pictures(16, SIDE)]))
    artifact = export(model, goal, tmp_path, images)
    counts = integer_counts(artifact)
    assert counts.integer == counts.weighted == WEIGHTED
    options = dict(goal.proxy_options)
    answers = predict(artifact, goal.proxy_runtime, images, open_device("local"), options=options)
    assert sqnr_db(network_outputs(model, images), answers) >= 25
    assert sqnr_db(network_outputs(network, images), answers) >= 20
    assert artifact.manifest.outputs[0].shape in ((1, 1, SIDE, SIDE), (1, SIDE, SIDE, 1))


@pytest.mark.parametrize("target", ["jetson", "intel-cpu", "raspberry-pi-5"])
def test_float_files_give_back_the_weights_of_layers_on_tokens(
    target: str, network: Model, tmp_path: Path
) -> None:
    """A sparsity pattern is read out of the shipped file, whichever precision ships and however it is stored."""
    stored = weights_in(export(network, load_target(target), tmp_path, pictures(1, SIDE)))
    for name, layer in network.module.named_modules():
        if isinstance(layer, nn.Linear):
            assert np.array_equal(stored[name], layer.weight.detach().numpy())


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Path]:
    folder = tmp_path_factory.mktemp("unext")
    (folder / "small.toml").write_text(RECIPE)
    brief = Protocol(blocks=1, warmup_seconds=0.01, min_seconds=0.01, max_seconds=0.2, min_samples=3)
    request = Request(
        model="unext-s",
        target="raspberry-pi-5",
        recipe=str(folder / "small.toml"),
        out=folder / "run",
        input_size=SIDE,
        threads=1,
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        patch.setattr(assess, "PROTOCOL", brief)
        done = compress(resolve(request))
    return done.report, done.folder


@pytest.mark.slow
def test_a_whole_run(run: tuple[Report, Path]) -> None:
    report, folder = run
    rows = {step.stage: step for step in report.steps}
    assert list(rows) == ["baseline", "prune", "recover", "quantize", "export"]
    assert all(rows[name].kept for name in ("prune", "recover", "quantize"))
    assert rows["export"].macs <= 0.85 * rows["baseline"].macs
    assert rows["prune"].details["masked_difference"] <= 1e-9
    assert report.data["name"] == "digits-seg"
    assert report.model["task"] == "segmentation"
    assert report.parity is not None
    assert report.parity.sqnr_db >= 25
    assert report.parity.top1_agreement is not None
    assert report.parity.top1_agreement >= 0.97  # of the pixels
    assert report.parity.integer_operators_in_file == report.parity.weighted_operators == WEIGHTED
    assert load_artifact(folder).manifest.labels == ("digit",)


@pytest.mark.slow
def test_iou_is_the_accuracy_and_f1_stands_beside_it(run: tuple[Report, Path]) -> None:
    report, folder = run
    first, last = report.steps[0], report.steps[-1]
    for step in (first, last):
        assert step.accuracy is not None
        assert step.val_accuracy is not None
        # Of one class both follow from the same counts.
        assert step.details["f1"] == pytest.approx(2 * step.accuracy / (1 + step.accuracy))
        assert step.details["val_f1"] == pytest.approx(2 * step.val_accuracy / (1 + step.val_accuracy))
    assert first.accuracy is not None
    assert first.accuracy > 0.4
    assert "IoU" in " ".join(step.reason for step in report.steps)
    page = (folder / "report.html").read_text()
    assert "validation IoU" in page
    assert "IoU drop of at most 20 points" in page
    assert "accuracy" not in json.dumps([step.reason for step in report.steps])


@pytest.mark.slow
def test_the_shipped_file_is_evaluated_on_masks(run: tuple[Report, Path]) -> None:
    report, folder = run
    found = evaluate(folder, threads=1)
    assert (found.metric, found.accuracy) == ("IoU", report.steps[-1].accuracy)
    assert found.others["f1"] == report.steps[-1].details["f1"]


def test_a_size_that_does_not_fit_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="multiples of 32, not 100×100"):
        resolve(Request(model="unext-s", target="host", input_size=100, data=tmp_path / "missing"))


def test_a_networks_task_chooses_the_built_in_data() -> None:
    job = resolve(Request(model="unext-s", target="host", input_size=32))
    assert (job.data.name, job.data.labels) == ("digits-seg", ("digit",))
    assert resolve(Request(model="mobilenetv2", target="host", input_size=32)).data.name == "digits"
    assert job.data.val is not None
    untrained = unext(32).module
    judged = score("segmentation", outputs(untrained, job.data.val, "cpu"), job.data.val)
    assert judged is not None
    assert np.isfinite(judged.value)
