"""A narrow MobileNetV2 with statistics as training leaves them, in float and in each target's INT8."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
import torch

from edgekit.data.digits import load_digits
from edgekit.data.split import Data
from edgekit.model import Event, Model, Preprocessing, Source
from edgekit.parity import Array
from edgekit.quantizer.calibrate import calibrate
from edgekit.stages.training import recalibrate
from edgekit.target import load_target
from edgekit.zoo import build

SIZE = 32


@pytest.fixture(scope="session")
def digits() -> Data:
    return load_digits(Preprocessing(height=SIZE, width=SIZE, mean=(0.5,) * 3, std=(0.5,) * 3))


@pytest.fixture(scope="session")
def images(digits: Data) -> Array:
    """Real pictures (32, 3, 32, 32) that nothing is calibrated on."""
    assert digits.val is not None
    return digits.val.images(np.arange(32))


@pytest.fixture(scope="session")
def narrow(digits: Data) -> Model:
    """MobileNetV2 at width 0.35: 53 weighted layers, ten residual adds; its logits are spread as a trained one's."""
    torch.manual_seed(0)
    source = Source(name="mobilenetv2", num_classes=10, width=0.35)
    module = build(source).eval()
    recalibrate(module, digits.calibration, "cpu")
    torch.nn.init.normal_(module.get_parameter("classifier.1.weight"), 0, 0.3)
    return Model(
        name="mobilenetv2",
        module=module.eval(),
        input_shape=(1, 3, SIZE, SIZE),
        task="classification",
        preprocessing=digits.preprocessing,
        labels=digits.labels,
        source=source,
    )


@pytest.fixture(scope="session")
def quantized(narrow: Model, digits: Data) -> Callable[[str], Model]:
    """The INT8 model by a target's name, calibrated once for all tests."""

    @cache
    def of(target: str) -> Model:
        samples = [digits.calibration.images(np.arange(64))]
        return narrow.after(
            Event(stage="quantize", summary="calibrated"),
            quantization=calibrate(narrow, load_target(target).int8, samples),
        )

    return of
