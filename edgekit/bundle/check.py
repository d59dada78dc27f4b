"""Whether a bundle is whole and answers as it says: hashes first, then what it describes, then LiteRT."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from edgekit import files
from edgekit.artifact import MANIFEST
from edgekit.bundle.archive import names_in, unzip
from edgekit.bundle.known import Check, check_known
from edgekit.bundle.manifest import SUMS, BundleManifest, check_labels, read_manifest
from edgekit.bundle.signature import signatures
from edgekit.errors import InputError
from edgekit.exporters.litert_metadata import LABELS, labels_text, metadata_in, packed_labels

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.devices import Device

AGAIN = "export the bundle again"


@dataclass(frozen=True)
class Verified:
    """A bundle whose hashes are right, and how its known answers came out."""

    model: str
    files: int
    checks: tuple[Check, ...]

    @property
    def holds(self) -> bool:
        """Whether all known answers came out."""
        return all(check.holds for check in self.checks)


def verify_bundle(path: Path, device: Device) -> Verified:
    """Check the bundle in a folder or a zip.

    Raises `InputError` that names the first file that is missing, was changed, was added or points outside, and
    where labels or sizes do not fit the model; `MissingError` and `MeasurementError` where LiteRT does not run it.
    """
    with _opened(path) as folder:
        manifest = _whole(folder)
        _fits(folder, manifest)
        checks = check_known(manifest.artifact(folder), manifest.known_answers, device)
        return Verified(manifest.model, len(manifest.sha256), tuple(checks))


def check_zip(path: Path, folder: Path) -> None:
    """Raise `InputError` where a zip is not whole, or holds another bundle than the folder beside it."""
    with _opened(path) as unpacked:
        _whole(unpacked)
        if _sums(unpacked) != _sums(folder):
            raise InputError(f"{path} and {folder} hold different bundles", hint=AGAIN)


@contextmanager
def _opened(path: Path) -> Iterator[Path]:
    """A bundle's folder; a zip's is unpacked, and errors name the zip and not where that was."""
    if not path.is_file():
        yield path
        return
    with TemporaryDirectory(prefix="edgekit-") as name:
        try:
            unzip(path, Path(name))
            yield Path(name)
        except InputError as error:
            raise InputError(error.what.replace(name, str(path)), hint=error.hint) from error


def _whole(folder: Path) -> BundleManifest:
    """The manifest, after every file was held to its hash and nothing else was found."""
    expected = _sums(folder)
    for name, digest in expected.items():
        _check_file(folder, name, digest)
    manifest = read_manifest(folder)
    if expected != {**manifest.sha256, MANIFEST: expected.get(MANIFEST)}:
        raise InputError(f"{folder / MANIFEST} and {SUMS} list other files or hashes", hint=AGAIN)
    if added := sorted(names_in(folder) - {SUMS, *expected}):
        raise InputError(f"{folder / added[0]} is not in the bundle's list of files", hint=AGAIN)
    return manifest


def _check_file(folder: Path, name: str, digest: str) -> None:
    path = folder / name
    try:
        files.inside(folder, name)
        found = files.sha256(path) if path.is_file() and not path.is_symlink() else None
    except (OSError, RuntimeError) as error:  # names that are too long, links that lead to themselves
        raise InputError(f"{path} cannot be read: {error}", hint=AGAIN) from error
    if found is None:
        raise InputError(f"{path} is missing, or no plain file", hint=AGAIN)
    if found != digest:
        raise InputError(f"{path} was changed: its SHA-256 is not that in {SUMS}", hint=AGAIN)


def _sums(folder: Path) -> dict[str, str]:
    path = folder / SUMS
    try:
        pairs = [line.split("  ", 1) for line in path.read_text(encoding="utf-8").splitlines()]
        names = {name: digest for digest, name in pairs}
    except OSError as error:
        raise InputError(f"{folder} holds no bundle: no readable {SUMS}", hint=AGAIN) from error
    except ValueError as error:
        raise InputError(f"{path} was changed: it is no list of hashes", hint=AGAIN) from error
    if "\0" in "".join(names):
        raise InputError(f"{path} was changed: it names what no file can be called", hint=AGAIN)
    return names


def _fits(folder: Path, manifest: BundleManifest) -> None:
    """What the manifest says of the model is what the model's file holds."""
    _check_known(manifest)
    path = folder / manifest.model_file
    name, content = str(path), path.read_bytes()
    told = (manifest.inputs, manifest.outputs)
    if signatures(content, *told, name=name) != told:
        raise InputError(f"{name} has other inputs, outputs or scales than {MANIFEST} tells", hint=AGAIN)
    ready = manifest.preprocessing
    if (
        manifest.inputs[0].shape != (1, ready.height, ready.width, ready.channels)
        or len(ready.std) != ready.channels
    ):
        raise InputError(f"the preprocessing in {MANIFEST} does not give what {name} takes", hint=AGAIN)
    check_labels(manifest.labels, manifest.outputs[0], name)
    metadata_in(content, name=name)
    text = labels_text(manifest.labels) or None
    listed = (folder / LABELS).read_bytes() if (folder / LABELS).is_file() else None
    if text != packed_labels(content, name=name) or listed != (text.encode() if text else None):
        raise InputError(
            f"{LABELS}, the labels in {MANIFEST} and those packed in {name} are not the same", hint=AGAIN
        )


def _check_known(manifest: BundleManifest) -> None:
    """The files that the manifest names are the bundle's, and each known input has its answer."""
    known = manifest.known_answers
    named = {manifest.model_file, *known.inputs, *known.outputs}
    named |= {known.picture, known.picture_input, known.picture_output}
    if missing := sorted(named - set(manifest.sha256)):
        raise InputError(f"{MANIFEST} names {missing[0]!r}, which is no file of the bundle", hint=AGAIN)
    if len(known.inputs) != len(known.outputs):
        raise InputError(
            f"{MANIFEST} names {len(known.inputs)} known inputs and {len(known.outputs)} answers", hint=AGAIN
        )
