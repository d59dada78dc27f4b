"""A bundle's folder, from an artifact and what its report tells."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import files
from edgekit.artifact import MANIFEST
from edgekit.bundle.archive import names_in
from edgekit.bundle.figures import Figures
from edgekit.bundle.known import write_known
from edgekit.bundle.manifest import (
    MODEL,
    BundleManifest,
    KnownAnswers,
    Signature,
    check_labels,
    write_sums,
)
from edgekit.bundle.render import own_version, rendered
from edgekit.bundle.signature import signatures
from edgekit.errors import InputError, MissingError
from edgekit.exporters import coreml
from edgekit.exporters.litert_metadata import LABELS, About, labels_text, with_metadata
from edgekit.runtimes import litert_cpu

if TYPE_CHECKING:
    from edgekit.artifact import Artifact, ArtifactFolder, Format
    from edgekit.devices import Device
    from edgekit.model import Model

RESIZE = "bilinear with the mean of all that a pixel covers, as Pillow resizes; done by the code itself"
"""Android's own bilinear filter looks at four pixels however much it shrinks, and iOS's is not documented."""


@dataclass(frozen=True)
class Told:
    """What an artifact does not know of itself."""

    target: str
    versions: Mapping[str, str]
    figures: Figures
    license: str | None = None
    network: Model | None = None
    """For targets whose bundles hold it in Core ML too."""


def write_bundle(artifact: ArtifactFolder, told: Told, folder: Path, device: Device) -> BundleManifest:
    """Fill an empty folder with the bundle of an artifact; the same input gives the same bytes.

    Raises `InputError` where the artifact is no .tflite, has dynamic inputs, takes several pictures at once or has
    labels that do not fit its output; `MissingError` and `MeasurementError` where LiteRT does not run it here.
    """
    shipped = artifact.manifest
    check_format(shipped.format, shipped.model)
    name = str(artifact.model_path)
    content = artifact.model_path.read_bytes()
    inputs, outputs = signatures(content, shipped.inputs, shipped.outputs, name=name)
    check_labels(shipped.labels, shipped.outputs[0], name)
    files.write_bytes(folder / MODEL, with_metadata(content, _about(shipped, told)))
    if shipped.labels:
        files.write_text(folder / LABELS, labels_text(shipped.labels))
    of_model = {MODEL: files.sha256(folder / MODEL)}
    placed = shipped.model_copy(update={"model_file": MODEL, "sha256": of_model, "companions": ()}).at(folder)
    known = write_known(placed, artifact.parity()[0], device, litert_cpu.version())
    notes = () if told.network is None else (_core_ml(told.network, folder),)
    manifest = _manifest(artifact, told, (inputs, outputs), known, notes=notes, hashes=of_model)
    return _described(folder, manifest)


def check_format(given: Format, named: str) -> None:
    """Raise `InputError` for a format of which no bundle is made."""
    if given != "tflite":
        raise InputError(
            f"{named} is a file for {given}, and phones run .tflite files",
            hint="choose a target whose format is tflite: edgekit targets",
        )


def _core_ml(network: Model, folder: Path) -> str:
    """Write it where it can be converted here, and say what is known of it."""
    try:
        name = coreml.write_package(network, folder).name
    except (InputError, MissingError) as error:
        return f"no Core ML file: {error.what}"
    return (
        f"{name}: the float network in 16 bits, {coreml.INPUT} (1, C, H, W) preprocessed as for the .tflite; only "
        "macOS runs Core ML, so its answers, accuracy and latency are unknown"
    )


def _about(shipped: Artifact, told: Told) -> About:
    return About(
        name=shipped.model,
        description=f"{shipped.task}, {shipped.precision}, for {told.target}",
        version=f"edgekit {own_version()}",
        task=shipped.task,
        preprocessing=shipped.preprocessing,
        labels=shipped.labels,
        license=told.license,
    )


def _manifest(
    artifact: ArtifactFolder,
    told: Told,
    tensors: tuple[tuple[Signature, ...], tuple[Signature, ...]],
    known: KnownAnswers,
    *,
    notes: tuple[str, ...],
    hashes: Mapping[str, str],
) -> BundleManifest:
    shipped = artifact.manifest
    return BundleManifest(
        model=shipped.model,
        task=shipped.task,
        precision=shipped.precision,
        target=told.target,
        license=told.license,
        source_sha256=artifact.sha256,
        inputs=tensors[0],
        outputs=tensors[1],
        preprocessing=shipped.preprocessing,
        resize=RESIZE,
        labels=shipped.labels,
        accuracy=told.figures.accuracy,
        latencies=told.figures.latencies,
        known_answers=known,
        versions=told.versions,
        notes=(*shipped.notes, *told.figures.notes, *notes),
        sha256=hashes,
    )


def _described(folder: Path, manifest: BundleManifest) -> BundleManifest:
    """The card and the code, which tell of the model's hash; then the manifest, with the hashes of all."""
    for name, text in rendered(manifest).items():
        files.write_text(folder / name, text)
    hashes = {
        name: manifest.sha256.get(name) or files.sha256(folder / name) for name in sorted(names_in(folder))
    }
    whole = manifest.model_copy(update={"sha256": hashes})
    files.write_json(folder / MANIFEST, whole.model_dump(mode="json"))
    write_sums(folder, hashes)
    return whole
