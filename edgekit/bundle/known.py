"""The known answers of a bundle: what LiteRT answers here to a few inputs, and how near a phone must come."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from edgekit import files
from edgekit.bench import predict
from edgekit.bundle.manifest import PICTURE, KnownAnswers
from edgekit.bundle.picture import drawn, preprocessed
from edgekit.data.pictures import BadPictureError
from edgekit.errors import InputError

if TYPE_CHECKING:
    from edgekit.artifact import ArtifactFolder, TensorSpec
    from edgekit.devices import Device
    from edgekit.parity import Array

RUNTIME = "litert"
KNOWN = 3
SHARE = {"int8": 0.05, "fp16": 0.01, "fp32": 0.001}
"""Of the answers' range: what kernels of another processor may differ by. Integers are rounded by other rules in
XNNPACK and in LiteRT's own kernels, and a step at the start is many at the end."""
GREYS = 1.5 / 255
"""What a preprocessed picture may be off by, before its normalisation. Resampling is on integers, so that all would
be equal, but newer Pillows begin with the columns where that is cheaper: the rounding between the passes then
moves some pixels by one grey value."""
RAW = np.dtype("<f4")


@dataclass(frozen=True)
class Check:
    """One comparison with what is known."""

    name: str
    difference: float
    """The largest absolute one."""
    tolerance: float

    @property
    def holds(self) -> bool:
        """Whether it is within the tolerance."""
        return self.difference <= self.tolerance


def write_known(artifact: ArtifactFolder, inputs: Array, device: Device, version: str) -> KnownAnswers:
    """Write the known inputs (n, C, H, W), the picture and LiteRT's answers into the artifact's folder."""
    folder, manifest = artifact.folder, artifact.manifest
    chosen = np.ascontiguousarray(inputs[:KNOWN], dtype=np.float32)
    png = drawn(manifest.preprocessing)
    files.write_bytes(folder / PICTURE, png)
    picture = preprocessed(png, manifest.preprocessing)
    answers = predict(artifact, RUNTIME, np.concatenate([chosen, picture]), device)
    names = [*(str(index) for index in range(len(chosen))), "picture"]
    for name, fed, given in zip(names, [*chosen, *picture], answers, strict=True):
        write_raw(folder / _input(name), fed, manifest.inputs[0])
        write_raw(folder / _output(name), given, manifest.outputs[0])
    return KnownAnswers(
        inputs=tuple(map(_input, names[:-1])),
        outputs=tuple(map(_output, names[:-1])),
        picture=PICTURE,
        picture_input=_input("picture"),
        picture_output=_output("picture"),
        tolerance=rounded(SHARE[manifest.precision] * float(np.ptp(answers))),
        picture_tolerance=rounded(GREYS / min(manifest.preprocessing.std)),
        answered_by=f"LiteRT {version} with XNNPACK",
    )


def check_known(artifact: ArtifactFolder, known: KnownAnswers, device: Device) -> list[Check]:
    """Preprocess the picture and run all inputs in LiteRT, and compare; raises as `predict` does."""
    folder, manifest = artifact.folder, artifact.manifest
    wanted = read_raw(folder / known.picture_input, manifest.inputs[0])
    try:
        made = preprocessed((folder / known.picture).read_bytes(), manifest.preprocessing)[0]
    except BadPictureError as error:
        raise InputError(f"{folder / known.picture} is no picture: {error}") from error
    checks = [Check("preprocessing of the picture", _difference(wanted, made), known.picture_tolerance)]
    fed = [read_raw(folder / name, manifest.inputs[0]) for name in known.inputs]
    answers = predict(artifact, RUNTIME, np.stack([*fed, made]), device)
    for name, given in zip((*known.outputs, known.picture_output), answers, strict=True):
        expected = read_raw(folder / name, manifest.outputs[0])
        checks.append(Check(name, _difference(expected, given), known.tolerance))
    return checks


def write_raw(path: Path, values: Array, spec: TensorSpec) -> None:
    """`in_layout` into a file."""
    files.write_bytes(path, in_layout(values, spec))


def in_layout(values: Array, spec: TensorSpec) -> bytes:
    """Values of one picture, channels first, as little-endian float32 in the file's own layout."""
    placed = values.transpose(1, 2, 0) if spec.layout == "NHWC" else values
    return np.ascontiguousarray(placed, dtype=RAW).tobytes()


def read_raw(path: Path, spec: TensorSpec) -> Array:
    """What `write_raw` wrote; raises `InputError` for a file that is missing, of another size or not finite."""
    try:
        values = np.frombuffer(path.read_bytes(), dtype=RAW)
        placed = values.reshape(spec.shape[1:])
    except (OSError, ValueError) as error:
        raise InputError(f"{path} holds no tensor {list(spec.shape)} of float32: {error}") from error
    if not np.isfinite(values).all():
        raise InputError(f"{path} holds values that are no numbers", hint="export the bundle again")
    return placed.transpose(2, 0, 1) if spec.layout == "NHWC" else placed


def _difference(expected: Array, given: Array) -> float:
    """The largest absolute one; where it is not finite, the largest float32, so that it can stand in JSON."""
    largest = float(np.max(np.abs(expected.astype(np.float64) - given)))
    return largest if np.isfinite(largest) else float(np.finfo(np.float32).max)


def rounded(value: float) -> float:
    """To two digits, so that it can be read in code."""
    return float(f"{value:.1e}")


def _input(name: str) -> str:
    return f"known/input-{name}.f32"


def _output(name: str) -> str:
    return f"known/output-{name}.f32"
