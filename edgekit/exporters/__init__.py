"""Exporters: the only code that knows file formats; one module a format, imported when it is asked for.

A format's module holds `EXTRA` (of edgekit) and `PACKAGES` (modules that it brings and an export needs),
`export(model, target, folder) -> Written`, which writes the file, and `count(path) -> Counts`, `weights(path)` and
`operators(path)`, which read it back without running it; `tensor_parity(model, path, images)` compares its tensors with
PyTorch's.
"""

from __future__ import annotations

import importlib
import io
import zipfile
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

import numpy as np

from edgekit import files, optional
from edgekit.artifact import PARITY, Artifact, ArtifactFolder, TensorSpec
from edgekit.errors import InputError
from edgekit.exporters.layer_parity import LayerParity
from edgekit.graph.file_graph import FileGraph
from edgekit.model import Model
from edgekit.operators import FileOperator
from edgekit.parity import Array
from edgekit.target import Target

_FORMATS = {
    "onnx": "edgekit.exporters.onnx",
    "openvino": "edgekit.exporters.openvino",
    "tflite": "edgekit.exporters.litert",
}
_READERS = {
    ".onnx": "edgekit.exporters.onnx_static",
    ".xml": "edgekit.exporters.openvino_static",
    ".tflite": "edgekit.exporters.litert_static",
}
"""A file's ending → what reads its operators, with their sizes: `file_graph(path)`."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every member of a zip: the same content, the same bytes."""


@dataclass(frozen=True)
class Written:
    """What an exporter wrote into the artifact's folder."""

    model_file: str
    """The file that the runtime opens."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    files: tuple[str, ...]
    """What the runtime needs, `model_file` first."""
    companions: tuple[str, ...] = ()
    """What travels along without the runtime opening it."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class Counts:
    """Convolutions and linear layers in a file: how many compute on 8-bit integers, of how many."""

    integer: int
    weighted: int


def export(model: Model, target: Target, folder: Path, known_inputs: Array) -> ArtifactFolder:
    """Write a model for a target into a folder, with its manifest and known answers.

    `known_inputs` is float32 (n, C, H, W); their answers are those of the network in PyTorch, quantized as the
    file is. The same model gives the same bytes. Raises `MissingError` where a package is missing and
    `InputError` where the network cannot be exported, or its INT8 file breaks a rule of the target's runtime.
    """
    from edgekit.exporters.rules import refuse_broken, rules_of
    from edgekit.quantizer.outputs import network_outputs

    written = _format(target.format).export(model, target, folder)
    rules = rules_of(model, target)
    if rules is not None:
        refuse_broken(folder / written.model_file, rules)
    files.write_bytes(
        folder / PARITY, _npz({"inputs": known_inputs, "outputs": network_outputs(model, known_inputs)})
    )
    names = (*written.files, *written.companions, PARITY)
    artifact = Artifact(
        model=model.name,
        task=model.task,
        format=target.format,
        runtime=target.runtime if target.driven else "",
        precision=model.precision,
        model_file=written.model_file,
        sha256={name: files.sha256(folder / name) for name in names},
        inputs=written.inputs,
        outputs=written.outputs,
        companions=written.companions,
        preprocessing=model.preprocessing,
        labels=model.labels,
        int8_rules=rules,
        notes=written.notes,
    ).at(folder)
    artifact.write()
    return artifact


def check_packages(format_name: str) -> None:
    """Raise `MissingError` with the pip line where a package that writing the format needs is not installed."""
    module = _format(format_name)
    optional.need(module.PACKAGES, extra=module.EXTRA)


def integer_counts(artifact: ArtifactFolder) -> Counts:
    """Count the integer operators in an artifact's file, without running it."""
    counts: Counts = _format(artifact.manifest.format).count(artifact.model_path)
    return counts


def weights_in(artifact: ArtifactFolder) -> dict[str, Array]:
    """Layer → its weights (out, in, …) as the file stores them, integers where it is quantized."""
    weights: dict[str, Array] = _format(artifact.manifest.format).weights(artifact.model_path)
    return weights


def file_operators(artifact: ArtifactFolder) -> tuple[FileOperator, ...]:
    """Every operator of an artifact's file, in order, with the layer whose weights it holds."""
    operators: tuple[FileOperator, ...] = _format(artifact.manifest.format).operators(artifact.model_path)
    return operators


def file_graph(path: Path) -> FileGraph:
    """The operators of a model file, for its static cost, without running it.

    Raises `MissingError` without the package that reads it, `InputError` where it cannot be read or counted.
    """
    if path.suffix not in _READERS:
        raise InputError(
            f"{path} is no model file that edgekit reads", hint=f"it reads: {', '.join(_READERS)}"
        )
    if not path.is_file():
        raise InputError(f"{path} does not exist")
    graph: FileGraph = importlib.import_module(_READERS[path.suffix]).file_graph(path)
    return graph


def tensor_parity(model: Model, artifact: ArtifactFolder, images: Array) -> list[LayerParity]:
    """The file's tensors against those of the network in PyTorch, in order of computation.

    Those of a quantized file that both know by one name; a .tflite in float has some, other float files have none.
    `images` is (n, C, H, W) float32.
    """
    layers: list[LayerParity] = _format(artifact.manifest.format).tensor_parity(
        model, artifact.model_path, images
    )
    return layers


def _format(name: str) -> ModuleType:
    return importlib.import_module(_FORMATS[name])


def _npz(arrays: dict[str, Array]) -> bytes:
    """An .npz whose bytes depend on the arrays alone; numpy's own carries the time of day."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.ascontiguousarray(array), allow_pickle=False)
            archive.writestr(zipfile.ZipInfo(f"{name}.npy", EPOCH), member.getvalue(), zipfile.ZIP_DEFLATED)
    return buffer.getvalue()
