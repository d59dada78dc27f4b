"""What a bundle's `manifest.json` tells."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, Literal

from pydantic import FiniteFloat, ValidationError

from edgekit import files
from edgekit.artifact import MANIFEST, Artifact, ArtifactFolder, TensorSpec
from edgekit.errors import InputError
from edgekit.frozen import Frozen
from edgekit.model import Preprocessing, Task
from edgekit.report import Latency

SUMS = "SHA256SUMS"
MODEL: Final = "model.tflite"
CARD, PICTURE = "MODEL_CARD.md", "known/picture.png"
CODE = ("EdgekitModel.kt", "EdgekitModel.swift")
SCHEMA: Final = 1


class Quantized(Frozen):
    """Of the integers behind a float tensor at the border of an INT8 file.

    `real = scale · (q - zero_point)`, q signed 8-bit.
    """

    scale: float
    zero_point: int


class Signature(TensorSpec):
    """An input or output as LiteRT sees it."""

    quantization: Quantized | None


class Accuracy(Frozen):
    """Of the shipped file in its runtime, on pictures that nothing was decided on."""

    metric: str
    value: float
    """In [0, 1]."""
    baseline: float | None
    """The same figure of the float network that the run started from."""
    data: str
    data_sha256: str
    pictures: int


class KnownAnswers(Frozen):
    """Inputs whose answers are known: raw little-endian float32 files, in the file's own layout."""

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    picture: str
    """A PNG before preprocessing."""
    picture_input: str
    picture_output: str
    tolerance: FiniteFloat
    """The largest absolute difference of an output that still passes."""
    picture_tolerance: FiniteFloat
    """The same for the tensor that preprocessing makes of the picture."""
    answered_by: str


class BundleManifest(Frozen):
    """Everything about a bundle; figures that were not taken are null, or absent from a list."""

    bundle_schema: Literal[1] = SCHEMA
    model: str
    task: Task
    precision: Literal["int8", "fp16", "fp32"]
    target: str
    license: str | None
    """Of the weights, as whoever made the bundle states it."""
    model_file: Literal["model.tflite"] = MODEL
    source_sha256: str
    """Of the model's file before its metadata was added: what reports and figures speak of."""
    inputs: tuple[Signature, ...]
    outputs: tuple[Signature, ...]
    preprocessing: Preprocessing
    resize: str
    labels: tuple[str, ...]
    accuracy: Accuracy | None
    latencies: tuple[Latency, ...]
    """Milliseconds, each with where it was measured; `proxy` is not the phone."""
    known_answers: KnownAnswers
    versions: Mapping[str, str]
    notes: tuple[str, ...]
    uncompiled: tuple[str, ...] = CODE
    """Code that was generated, and that nobody compiled here."""
    sha256: Mapping[str, str]
    """Every file but this one and `SHA256SUMS`, which also holds this one's."""

    def artifact(self, folder: Path) -> ArtifactFolder:
        """The model as everything else in edgekit takes it."""
        return Artifact(
            model=self.model,
            task=self.task,
            format="tflite",
            precision=self.precision,
            model_file=self.model_file,
            sha256={self.model_file: self.sha256[self.model_file]},
            inputs=self.inputs,
            outputs=self.outputs,
            preprocessing=self.preprocessing,
            labels=self.labels,
        ).at(folder)


def check_labels(labels: tuple[str, ...], output: TensorSpec, model: str) -> None:
    """Raise `InputError` where labels are not one a channel of the output, or no line each."""
    channels = output.shape[output.layout.index("C")]
    if labels and len(labels) != channels:
        raise InputError(
            f"{model} has {len(labels)} labels, and its output {list(output.shape)} has {channels} channels",
            hint="one label a channel, in the order of the network's outputs",
        )
    check_lines(labels, model)


def check_lines(labels: tuple[str, ...], named: str) -> None:
    """Raise `InputError` where a label is not one line of `labels.txt`."""
    if broken := next((label for label in labels if len(label.splitlines()) != 1), None):
        raise InputError(f"the label {broken!r} of {named} is not one line", hint="rename that class")


def is_bundle(folder: Path) -> bool:
    """Whether a folder holds a bundle, whole or not."""
    return (folder / SUMS).is_file()


def read_manifest(folder: Path) -> BundleManifest:
    """The manifest of a bundle's folder; raises `InputError`."""
    path = folder / MANIFEST
    try:
        return BundleManifest.model_validate_json(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder} holds no bundle: no readable {MANIFEST}") from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not a bundle's manifest of schema {SCHEMA}: {error}") from error


def write_sums(folder: Path, hashes: Mapping[str, str]) -> None:
    """`SHA256SUMS` as `sha256sum -c` reads it: the hashes that the manifest tells, and its own."""
    whole = {**hashes, MANIFEST: files.sha256(folder / MANIFEST)}
    files.write_text(folder / SUMS, "".join(f"{whole[name]}  {name}\n" for name in sorted(whole)))
