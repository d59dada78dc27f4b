"""Exports small networks; also a script: `python exporting.py FOLDER TARGET...`, one folder a target.

Tests run the script to see that another process writes the same bytes, and prints nothing.
"""

from __future__ import annotations

import importlib
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from small_networks import Array, Residual, model_of, pictures

from edgekit.exporters import export
from edgekit.quantizer.calibrate import calibrate
from edgekit.runtimes import find
from edgekit.target import load_target

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from edgekit.artifact import ArtifactFolder
    from edgekit.model import Model


def quantized(network: Callable[[], nn.Module], target: str) -> Model:
    """The network with random weights, calibrated on random pictures by a target's rules."""
    model = model_of(network)
    return replace(model, quantization=calibrate(model, load_target(target).int8, [pictures(16)]))


def exported(model: Model, target: str, folder: Path) -> ArtifactFolder:
    """The model's artifact for a target, with eight known pictures."""
    folder.mkdir(parents=True, exist_ok=True)
    return export(model, load_target(target), folder, pictures(8, seed=1))


def answers(artifact: ArtifactFolder, runtime: str, images: Array) -> Array:
    """What a file gives for pictures (n, C, H, W), one by one, on one thread."""
    module = importlib.import_module(f"edgekit.runtimes.{find(runtime).file.stem}")
    session = module.Session(str(artifact.model_path), 1, {})
    return np.concatenate([session.run(image[None]) for image in images])


if __name__ == "__main__":
    for name in sys.argv[2:]:
        exported(quantized(Residual, name), name, Path(sys.argv[1]) / name)
