"""`export --target web`: a folder for any web server, whose page runs the file in the browser that opens it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from edgekit import files, runtimes
from edgekit.artifact import MANIFEST, ArtifactFolder, load_artifact
from edgekit.bundle.manifest import is_bundle
from edgekit.devices.web.page_files import page_files
from edgekit.devices.web.runtimes import check_installed, engine_of, runtime_files
from edgekit.errors import InputError
from edgekit.model import Model
from edgekit.pipeline.browsing import subject_of
from edgekit.pipeline.bundling import report_for
from edgekit.pipeline.exporting import export
from edgekit.progress import Progress
from edgekit.target import load_target

BACKEND = "wasm"
THREADS = 4
"""What the page asks for; a browser with fewer cores, or whose host does not isolate the page, takes fewer."""


def export_page(
    subject: str | Path,
    network: Callable[[], Model],
    *,
    target: str,
    out: Path,
    force: bool = False,
    progress: Progress | None = None,
) -> ArtifactFolder:
    """Write an artifact with its page and the page's runtime into a new folder `out`.

    A run that was made for the target gives the very file that it shipped; anything else is exported anew, as
    `network()` opens it. Raises `MissingError` without the runtimes, and the errors of `export`.
    """
    goal = load_target(target)
    engine = engine_of(goal.runtime)
    check_installed()
    if is_bundle(out):
        raise InputError(f"{out} holds a bundle, whose zip would stay beside it", hint="give another --out")
    files.check_new(out, force=force, mark=MANIFEST)
    with TemporaryDirectory(prefix="edgekit-") as temporary:
        if report_for(Path(subject), goal) is None:
            artifact = export(network, target=target, out=Path(temporary) / "artifact", progress=progress)
        else:
            artifact = load_artifact(Path(subject))
        shown = subject_of(artifact, runtimes.RUNTIME_OF[goal.format], THREADS)
        content = page_files() | runtime_files(engine, BACKEND) | shown.files(live=False, backend=BACKEND)
        with files.new_folder(out) as folder:
            _copy(artifact, folder)
            for name, one in content.items():
                _write(folder / name, one)
    return load_artifact(out)


def _copy(artifact: ArtifactFolder, folder: Path) -> None:
    for name in (MANIFEST, *artifact.manifest.sha256):
        place = files.inside(folder, name)
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(files.inside(artifact.folder, name), place)


def _write(path: Path, content: bytes | Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        shutil.copyfile(content, path)
