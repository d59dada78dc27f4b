"""Bundles of small networks, and what tests do to them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit import files
from edgekit.artifact import MANIFEST
from edgekit.bundle import Told, write_bundle
from edgekit.bundle.archive import names_in
from edgekit.bundle.figures import Figures
from edgekit.bundle.manifest import SUMS, write_sums
from edgekit.devices import open_device
from edgekit.pipeline.versions import versions

if TYPE_CHECKING:
    from edgekit.artifact import ArtifactFolder
    from edgekit.model import Model

LOCAL = open_device("local")


def bundled(artifact: ArtifactFolder, folder: Path, network: Model | None = None) -> Path:
    """The bundle of an artifact in a new folder; with a network, that of an iPhone."""
    folder.mkdir(parents=True)
    target = "iphone" if network else "android"
    write_bundle(artifact, Told(target, versions(), Figures(), network=network), folder, LOCAL)
    return folder


def rewritten(folder: Path, **changes: object) -> None:
    """Change the manifest of a bundle, as one would who also writes its hashes anew."""
    path = folder / MANIFEST
    manifest = json.loads(path.read_text()) | changes
    names = names_in(folder) - {SUMS, MANIFEST}
    own = {name: files.sha256(folder / name) for name in sorted(names)}
    manifest["sha256"] = changes.get("sha256", own)
    path.write_text(json.dumps(manifest))
    write_sums(folder, own)
