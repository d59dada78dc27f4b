"""`--bundle`: what a phone app takes, made of a run's shipped file or of a fresh export."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from edgekit import files
from edgekit.artifact import ArtifactFolder, load_artifact
from edgekit.bundle import Told, check_format, write_bundle, zipped
from edgekit.bundle.archive import SUFFIX, holds
from edgekit.bundle.figures import Figures, figures
from edgekit.bundle.manifest import SUMS, BundleManifest, is_bundle
from edgekit.devices import HERE, open_device
from edgekit.errors import InputError
from edgekit.model import Model
from edgekit.pipeline.exporting import export
from edgekit.pipeline.folder import is_finished
from edgekit.pipeline.versions import versions
from edgekit.progress import Progress
from edgekit.report import Report, load_report
from edgekit.target import Target, load_target

FOLDER = "bundle"


def zip_of(folder: Path) -> Path:
    """The zip that lies beside a bundle's folder."""
    return folder.with_name(f"{folder.name}{SUFFIX}")


def has_bundle(run: Path) -> bool:
    """Whether a run's folder holds `bundle/` and `bundle.zip`."""
    return (run / FOLDER).is_dir() and zip_of(run / FOLDER).is_file()


def bundle_run(
    report: Report, shipped: ArtifactFolder, network: Callable[[], Model], goal: Target, folder: Path
) -> None:
    """Write `bundle/` and `bundle.zip` of a finished run into its folder."""
    told = _of_run(report, shipped, None)
    if goal.app_formats:
        told = replace(told, network=network())
    _write(shipped, told, folder / FOLDER)


def export_bundle(
    subject: str | Path,
    network: Callable[[], Model],
    *,
    target: str,
    out: Path,
    licence: str | None = None,
    force: bool = False,
    progress: Progress | None = None,
) -> BundleManifest:
    """Write a bundle into a new folder `out` and its zip beside it.

    A run that was made for the target gives the very file that it shipped, with its figures; anything else is
    exported anew, as `network()` opens it, and has none. Raises the errors of `write_bundle`, and `InputError` where
    `out` or its zip exists, with `force` only where they are no bundle of ours.
    """
    goal, out = load_target(target), out.absolute()
    check_format(goal.format, goal.id)
    files.check_new(out, force=force, mark=SUMS)
    _check_zip(out, force=force)
    with TemporaryDirectory(prefix="edgekit-") as temporary:
        report = report_for(Path(subject), goal)
        if report is None:
            place = Path(temporary) / "artifact"
            artifact = export(network, target=target, out=place, progress=progress)
            told = Told(goal.id, versions(), Figures(), licence)
        else:
            artifact = load_artifact(Path(subject))
            told = _of_run(report, artifact, licence)
        if goal.app_formats:
            told = replace(told, network=network())
        return _write(artifact, told, out)


def _check_zip(out: Path, *, force: bool) -> None:
    path = zip_of(out)
    files.check_new_file(path, force=force)
    if path.exists() and not is_bundle(out) and not holds(path, SUMS):
        raise InputError(f"{path} is no bundle that edgekit wrote", hint="give another --out")


def report_for(subject: Path, goal: Target) -> Report | None:
    """The report of a finished run for that very target."""
    if not is_finished(subject):
        return None
    report = load_report(subject)
    return report if report.target.get("id") == goal.id else None


def _of_run(report: Report, artifact: ArtifactFolder, licence: str | None) -> Told:
    return Told(str(report.target["id"]), report.versions, figures(report, artifact.sha256), licence)


def _write(artifact: ArtifactFolder, told: Told, out: Path) -> BundleManifest:
    with files.new_folder(out) as temporary:
        manifest = write_bundle(artifact, told, temporary, open_device(HERE))
        content = zipped(temporary)
        # Before the folder's turn: a new folder never lies beside an old zip.
        zip_of(out).unlink(missing_ok=True)
    files.write_bytes(zip_of(out), content)
    return manifest
