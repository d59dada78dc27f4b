"""A folder as one zip: the same files, the same bytes; and back, without leaving the folder."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path, PurePosixPath

from edgekit.errors import InputError
from edgekit.exporters import EPOCH
from edgekit.exporters.litert_metadata import BROKEN_ZIP

SUFFIX = ".zip"
LARGEST_BYTES = 2_000_000_000
"""More than this is no bundle for a phone: a small zip may hold very much."""


def zipped(folder: Path) -> bytes:
    """The files of a folder, sorted, with one date and one mode; the same zlib gives the same bytes."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in sorted(names_in(folder)):
            member = zipfile.ZipInfo(name, EPOCH)
            member.external_attr = 0o100644 << 16
            archive.writestr(member, (folder / name).read_bytes(), zipfile.ZIP_DEFLATED, 9)
    return stream.getvalue()


def names_in(folder: Path) -> set[str]:
    """All that lies in a folder and below but folders, by names with `/`; a link to a folder is none."""
    found = folder.rglob("*")
    return {path.relative_to(folder).as_posix() for path in found if path.is_symlink() or not path.is_dir()}


def holds(path: Path, name: str) -> bool:
    """Whether a file is a zip that has a member of that name."""
    try:
        with zipfile.ZipFile(path) as archive:
            return name in archive.namelist()
    except BROKEN_ZIP:
        return False


def unzip(path: Path, folder: Path) -> None:
    """Unpack a bundle's zip into an empty folder; raises `InputError` that names a member that would leave it."""
    try:
        with zipfile.ZipFile(path) as archive:
            members = archive.infolist()
            _check(path, members)
            for member in members:
                target = folder / member.filename
                target.parent.mkdir(parents=True, exist_ok=True)
                target.write_bytes(archive.read(member))
    except BROKEN_ZIP as error:
        raise InputError(f"{path} is not a whole zip: {error}", hint="export the bundle again") from error


def _check(path: Path, members: list[zipfile.ZipInfo]) -> None:
    names = [member.filename for member in members]
    for member in members:
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise InputError(
                f"{path} holds {member.filename!r}, which is packed in another way than edgekit packs",
                hint="it is not a bundle that edgekit wrote",
            )
        parts = PurePosixPath(member.filename).parts
        plain = "\\" not in member.filename and ":" not in member.filename and not member.is_dir()
        if member.filename.startswith("/") or ".." in parts or not parts or not plain or _is_link(member):
            raise InputError(
                f"{path} holds {member.filename!r}, which points outside its folder or is no plain file",
                hint="it is not a bundle that edgekit wrote",
            )
    if len(set(names)) != len(names):
        raise InputError(f"{path} holds a file twice", hint="it is not a bundle that edgekit wrote")
    if sum(member.file_size for member in members) > LARGEST_BYTES:
        raise InputError(f"{path} unpacks to more than {LARGEST_BYTES:,} bytes", hint="it is no bundle")


def _is_link(member: zipfile.ZipInfo) -> bool:
    return (member.external_attr >> 28) == 0o12
