"""Calibration pictures that are scaled otherwise than the network's own are noticed, and others raise no alarm."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from small_networks import Array, Gated, Residual, Shuffled, Twice, model_of, pictures
from torch import nn

from edgekit.data import load_data
from edgekit.errors import InputError
from edgekit.model import Model
from edgekit.pipeline.network import new_model
from edgekit.quantizer.calibrate import calibrate
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.scaling import doubt_about
from edgekit.stages.training import recalibrate
from edgekit.target import load_target
from edgekit.zoo import architecture

HOST = load_target("host").int8
SIDE = 32
FAMILIES = ("mobilenetv2", "mobilenetv3-small", "shufflenetv2-x0.5", "ghostnet", "unext-s")


def doubt(model: Model, images: Array) -> str | None:
    with torch.no_grad():
        return doubt_about(model, folded_graph(model, any_batch=True), torch.from_numpy(images))


@pytest.fixture(scope="module", params=FAMILIES)
def seen(request: pytest.FixtureRequest) -> tuple[Model, Array]:
    """A network of the zoo whose norms have seen the digits, and digits that they have not."""
    entry = architecture(request.param, (), None)
    data = load_data(None, task=entry.task, input_size=SIDE)
    model = new_model(entry, data.preprocessing, seed=0)
    assert data.train is not None
    assert data.val is not None
    recalibrate(model.module, data.train, "cpu")
    return model, data.val.images(np.arange(32))


def test_pictures_that_are_scaled_as_those_before_raise_no_alarm(seen: tuple[Model, Array]) -> None:
    model, images = seen
    assert doubt(model, images) is None
    assert doubt(model, 0.7 * images + 0.1) is None  # a duller camera
    assert doubt(model, images[..., ::-1].copy()) is None


def test_pictures_that_are_not_normalised_are_noticed(seen: tuple[Model, Array]) -> None:
    model, images = seen
    told = doubt(model, 127.5 * (images + 1))  # 0 to 255
    assert told is not None
    assert "scaled and normalised" in told


def test_a_norm_that_has_seen_nothing_tells_nothing() -> None:
    model = model_of(Residual)
    for norm in model.module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.reset_running_stats()
    assert doubt(model, 100 * pictures(8)) is None
    assert doubt(model_of(Twice), 100 * pictures(8)) is None


@pytest.mark.parametrize("network", [Residual, Shuffled, Gated, Twice])
def test_what_preprocessing_never_gives_is_refused(network: type[nn.Module]) -> None:
    model, images = model_of(network), np.abs(pictures(8))
    images *= 255 / images.max()
    with pytest.raises(InputError, match=r"reaches 255, and the network's preprocessing 2"):
        calibrate(model, HOST, [images])
    wide = replace(
        model,
        preprocessing=model.preprocessing.model_copy(update={"mean": (0.0,) * 3, "std": (1 / 255,) * 3}),
    )
    assert calibrate(wide, HOST, [images]).calibration_samples == 8
