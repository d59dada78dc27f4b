"""The file that a page is about: what it shows of it, checks it by, and turns pictures into its input by."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from edgekit.artifact import ArtifactFolder
from edgekit.devices.web.page_files import page_files
from edgekit.devices.web.runtimes import engine_of, version

DESCRIPTION = "subject.json"
PHOTO = "known/photo.jpg"


@dataclass(frozen=True)
class Known:
    """Inputs whose answers are known, and how near a browser must come."""

    files: Mapping[str, bytes]
    """Raw little-endian float32 and a PNG, by name."""
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    tolerance: float
    """The largest absolute difference of an output that passes."""
    answered_by: str
    picture: str = ""
    """A PNG before preprocessing; none where nobody knows the preprocessing."""

    def document(self) -> dict[str, Any]:
        """All but the files."""
        return {name: value for name, value in vars(self).items() if name != "files"}


@dataclass(frozen=True)
class Subject:
    """An artifact on a page."""

    artifact: ArtifactFolder
    runtime: str
    """That opens it in Python; the page has the one of the same format."""
    known: Known
    photo: bytes
    """A JPEG as a camera's in size: what turning it into the network's input costs."""
    protocol: Mapping[str, float]
    """Blocks, and the limits of each."""
    threads: int
    edgekit: str
    """The version."""

    @property
    def model_path(self) -> Path:
        """The file."""
        return self.artifact.model_path

    def files(self, *, live: bool, backend: str) -> dict[str, bytes | Path]:
        """What the page loads of it; `live`: edgekit stands behind the page and asks it."""
        content = json.dumps(
            self._document(live=live, backend=backend), indent=2, ensure_ascii=False
        ).encode()
        return {
            DESCRIPTION: content,
            self.artifact.manifest.model_file: self.model_path,
            **self._known_files(),
        }

    def _known_files(self) -> dict[str, bytes]:
        return {**self.known.files, PHOTO: self.photo}

    def _document(self, *, live: bool, backend: str) -> dict[str, Any]:
        manifest = self.artifact.manifest
        engine = engine_of(self.runtime)
        return {
            "live": live,
            "edgekit": self.edgekit,
            "model": manifest.model,
            "task": manifest.task,
            "precision": manifest.precision,
            "model_file": manifest.model_file,
            "size_bytes": self.model_path.stat().st_size,
            "sha256": self.artifact.sha256,
            "runtime": self.runtime,
            "engine": engine.name,
            "engine_package": engine.package,
            "engine_version": version(engine.package),
            "page_files": sorted(page_files()),
            "known_files": sorted(self._known_files()),
            "photo": PHOTO,
            "options": dict(manifest.runtime_options),
            "backend": backend,
            "threads": self.threads,
            "protocol": dict(self.protocol),
            "input": manifest.inputs[0].model_dump(mode="json"),
            "output": manifest.outputs[0].model_dump(mode="json"),
            "preprocessing": manifest.preprocessing.model_dump(mode="json"),
            "labels": list(manifest.labels),
            "known": self.known.document(),
        }
