"""`Artifact`: the files that ship, with everything a device needs to run and check them without torch."""

from __future__ import annotations

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import numpy as np
from pydantic import ValidationError

from edgekit import files
from edgekit.errors import InputError
from edgekit.frozen import Frozen
from edgekit.model import Preprocessing, Task
from edgekit.target import FileRules

Format = Literal["onnx", "openvino", "tflite"]
MANIFEST = "manifest.json"
PARITY = "parity.npz"


class TensorSpec(Frozen):
    """One input or output as the runtime sees it; the layout is `NCHW`, `NHWC` or `NC`."""

    name: str
    shape: tuple[int, ...]
    dtype: str
    layout: str


class Artifact(Frozen):
    """The manifest of a folder with a model file; `folder` is where it was read from, never written to a file."""

    model: str
    task: Task
    format: Format
    runtime: str = ""
    """The target's own, where edgekit drives that on a device; empty: the one that opens the format anywhere."""
    precision: Literal["int8", "fp16", "fp32"]
    model_file: str
    sha256: Mapping[str, str]
    """Every file of the artifact but the manifest, by its name in the folder."""
    inputs: tuple[TensorSpec, ...]
    outputs: tuple[TensorSpec, ...]
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    companions: tuple[str, ...] = ()
    """Files that the runtime does not open: a rival in another precision, a script."""
    runtime_options: Mapping[str, str] = {}
    """What the runtime was told when its figures were taken (`precision`, for one)."""
    int8_rules: FileRules | None = None
    """What the INT8 file was held to when it was written; None of a float file, and in older manifests."""
    notes: tuple[str, ...] = ()

    def at(self, folder: Path) -> ArtifactFolder:
        """This manifest, placed."""
        return ArtifactFolder(folder, self)


class ArtifactFolder:
    """An artifact on disk."""

    def __init__(self, folder: Path, manifest: Artifact) -> None:
        self.folder = folder
        self.manifest = manifest

    @property
    def model_path(self) -> Path:
        """The file that the runtime opens."""
        return files.inside(self.folder, self.manifest.model_file)

    @property
    def size_bytes(self) -> int:
        """All files that the runtime needs (an OpenVINO IR has two)."""
        return sum(path.stat().st_size for path in self.model_files)

    @property
    def compressed_size_bytes(self) -> int:
        """The same files after gzip -9: what a download costs, and where zeros show."""
        return sum(
            len(gzip.compress(path.read_bytes(), compresslevel=9, mtime=0)) for path in self.model_files
        )

    @property
    def model_files(self) -> list[Path]:
        """The files that the runtime needs, without the known answers and the companions."""
        others = {PARITY, *self.manifest.companions}
        return [files.inside(self.folder, name) for name in self.manifest.sha256 if name not in others]

    def rival(self, precision: str) -> ArtifactFolder | None:
        """The same network in another precision, where its file came along: `model-fp16.onnx` beside `model.onnx`."""
        own = self.manifest.model_file
        name = f"{Path(own).stem}-{precision}{Path(own).suffix}"
        if name not in self.manifest.companions:
            return None
        others = (own, *(other for other in self.manifest.companions if other != name))
        changed = {"model_file": name, "precision": precision, "companions": others}
        return self.manifest.model_copy(update=changed).at(self.folder)

    @property
    def sha256(self) -> str:
        """Of the model's file; where the runtime needs several, of their names and hashes."""
        hashes = {path.name: self.manifest.sha256[path.name] for path in self.model_files}
        if len(hashes) == 1:
            return hashes[self.manifest.model_file]
        return hashlib.sha256(files.canonical_json(hashes).encode()).hexdigest()

    def parity(self) -> tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]:
        """Known inputs (n, C, H, W) and the network's outputs for them, float32."""
        with np.load(self.folder / PARITY, allow_pickle=False) as known:
            return known["inputs"], known["outputs"]

    def write(self) -> None:
        """Write the manifest into the folder."""
        files.write_json(self.folder / MANIFEST, self.manifest.model_dump(mode="json"))

    def verify(self) -> None:
        """Raise `InputError` that names the first file that is missing, was changed or cannot be checked."""
        if self.manifest.model_file not in self.manifest.sha256:
            raise InputError(
                f"{self.folder / MANIFEST} has no SHA-256 of {self.manifest.model_file}", hint="export again"
            )
        for name, expected in self.manifest.sha256.items():
            path = files.inside(self.folder, name)
            if not path.is_file():
                raise InputError(f"{path} is missing", hint="the manifest beside it lists it; export again")
            if files.sha256(path) != expected:
                raise InputError(
                    f"{path} was changed: its SHA-256 is not the manifest's", hint="export again"
                )


def load_artifact(path: Path) -> ArtifactFolder:
    """The artifact in a folder (or in a run's `artifact/`), with its hashes checked; raises `InputError`."""
    folder = path if path.is_dir() else path.parent
    folder = folder / "artifact" if (folder / "artifact" / MANIFEST).is_file() else folder
    manifest = folder / MANIFEST
    if not path.exists():
        raise InputError(f"{path} does not exist", hint="give a run's folder, or its artifact/ folder")
    try:
        artifact = Artifact.model_validate_json(manifest.read_text(encoding="utf-8")).at(folder)
    except OSError as error:
        raise InputError(
            f"{path} holds no artifact: no readable {MANIFEST} in {folder}",
            hint="give a run's folder, or its artifact/ folder",
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise InputError(f"{manifest} is not a manifest of edgekit: {error}") from error
    artifact.verify()
    if path.is_file() and path.resolve() not in (manifest.resolve(), artifact.model_path):
        raise InputError(
            f"{path} is not the artifact's model: its manifest names {artifact.manifest.model_file}",
            hint="give the folder, or that file",
        )
    return artifact
