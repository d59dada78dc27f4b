"""Labelled pictures that are made in no time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from edgekit.data.random import random_data
from edgekit.data.split import Data, Part
from edgekit.model import Preprocessing


def pictures(count: int) -> Data:
    """Noise (count, 3, 8, 8) in two classes by turns, to train and to decide on."""
    ready = Preprocessing(height=8, width=8, mean=(0.5,) * 3, std=(0.5,) * 3)
    data = random_data(ready, seed=0)
    calibration = data.calibration
    assert isinstance(calibration, Part)
    some = replace(calibration, indices=calibration.indices[:count], targets=np.arange(count) % 2)
    return replace(data, train=some, val=some, calibration=some, labels=("a", "b"))
