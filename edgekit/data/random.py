"""Random pictures, for runs that ask only what a network costs."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from edgekit.data.split import Data, Part, Pixels
from edgekit.model import Preprocessing

SAMPLES = 256


@dataclass(frozen=True)
class Noise:
    """Uniform noise as a `Store`: picture i is the same in every run of one seed."""

    seed: int
    channels: int
    height: int
    width: int

    def read(self, indices: npt.NDArray[np.intp]) -> Pixels:
        """Pictures (n, C, H, W), uint8."""
        shape = (self.channels, self.height, self.width)
        made = [
            np.random.default_rng((self.seed, index)).bytes(int(np.prod(shape))) for index in indices.tolist()
        ]
        return np.frombuffer(b"".join(made), dtype=np.uint8).reshape(len(made), *shape)


def random_data(preprocessing: Preprocessing, *, seed: int, samples: int = SAMPLES) -> Data:
    """Noise to calibrate on: INT8 scales that give true latency and size, and say nothing about accuracy."""
    noise = Noise(seed, preprocessing.channels, preprocessing.height, preprocessing.width)
    return Data(
        name="random",
        sha256=hashlib.sha256(f"{noise} {samples}".encode()).hexdigest(),
        labels=(),
        train=None,
        val=None,
        test=None,
        calibration=Part(noise, np.arange(samples), None, preprocessing, flips=False),
        preprocessing=preprocessing,
    )
