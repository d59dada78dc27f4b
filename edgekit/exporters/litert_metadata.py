"""What a .tflite says of itself in the standard form: TFLite Metadata, and labels packed behind the model.

The metadata is a flatbuffer of its own (`metadata_schema.fbs` of the TFLite Support library, identifier `M001`) in a
buffer that the model names `TFLITE_METADATA`; the files that it speaks of follow the model as an uncompressed zip.
Its package pins an old protobuf, so the few tables that a vision network needs are built here.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from edgekit.errors import InputError
from edgekit.exporters import EPOCH
from edgekit.exporters.litert_graph import pack, unpack
from edgekit.optional import load

if TYPE_CHECKING:
    from edgekit.model import Preprocessing, Task

NAME, IDENTIFIER = b"TFLITE_METADATA", b"M001"
LABELS = "labels.txt"
_PARSER = "1.0.0"
"""The oldest parser that knows every table used here."""
_IMAGE, _FEATURE, _NORMALIZATION, _AXIS_LABELS = 2, 1, 1, 2
_RGB, _GRAYSCALE = 1, 2
_LARGEST_PIXEL = 255
_Kind = Literal["offset", "byte", "union", "uint", "int"]
BROKEN_ZIP = (zipfile.BadZipFile, zlib.error, struct.error, OSError, EOFError, RuntimeError, ValueError)
"""What `zipfile` raises for bytes that are no whole zip, or one of a kind that it does not read."""


@dataclass(frozen=True)
class About:
    """What the metadata tells."""

    name: str
    description: str
    version: str
    task: Task
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    """One a channel of the output; empty where nobody named them."""
    license: str | None = None


def with_metadata(content: bytes, about: About) -> bytes:
    """The same model with its metadata, and `labels.txt` behind it; the same input gives the same bytes.

    What it computes is untouched. Raises `InputError` where the bytes are no .tflite.
    """
    schema = load("ai_edge_litert.schema_py_generated", extra="litert")
    model = unpack(content)
    buffer, entry = schema.BufferT(), schema.MetadataT()
    buffer.data = _model_metadata(about)
    model.buffers.append(buffer)
    entry.name, entry.buffer = NAME, len(model.buffers) - 1
    model.metadata = [*(each for each in model.metadata or [] if each.name != NAME), entry]
    stream = io.BytesIO(pack(model))
    if about.labels:
        with zipfile.ZipFile(stream, "a", zipfile.ZIP_STORED) as archive:
            archive.writestr(zipfile.ZipInfo(LABELS, EPOCH), labels_text(about.labels))
    return stream.getvalue()


def labels_text(labels: Sequence[str]) -> str:
    """One label a line."""
    return "".join(f"{label}\n" for label in labels)


def metadata_in(content: bytes, *, name: str = "the model") -> bytes:
    """The metadata's flatbuffer; raises `InputError` where a .tflite has none."""
    model = unpack(content, name=name)
    for entry in model.metadata or []:
        data = model.buffers[entry.buffer].data if entry.buffer < len(model.buffers) else None
        if entry.name == NAME and data is not None and bytes(data[4:8]) == IDENTIFIER:
            return bytes(data)
    raise InputError(f"{name} holds no TFLite metadata")


def packed_labels(content: bytes, *, name: str = "the model") -> str | None:
    """The text of `labels.txt` behind a model; None where none was packed.

    Raises `InputError` for a broken zip, and for one that is compressed: a few bytes could then unpack to very many.
    """
    stream = io.BytesIO(content)
    if not zipfile.is_zipfile(stream):
        return None
    try:
        with zipfile.ZipFile(stream) as archive:
            for member in archive.infolist():
                if member.compress_type != zipfile.ZIP_STORED or member.file_size > len(content):
                    raise InputError(f"{name} has {member.filename!r} packed behind it, which is compressed")
            return archive.read(LABELS).decode() if LABELS in archive.namelist() else None
    except BROKEN_ZIP as error:
        raise InputError(f"the labels packed in {name} cannot be read: {error}") from error


class _Tables:
    """A flatbuffer under construction, by the schema's slots; a union takes two, its type and its value."""

    def __init__(self) -> None:
        self.builder = load("flatbuffers", extra="litert").Builder(1024)

    def text(self, value: str) -> tuple[_Kind, int]:
        return "offset", self.builder.CreateString(value)

    def floats(self, values: Sequence[float]) -> tuple[_Kind, int]:
        self.builder.StartVector(4, len(values), 4)
        for value in reversed(values):
            self.builder.PrependFloat32(value)
        return "offset", self.builder.EndVector()

    def several(self, *tables: tuple[_Kind, int]) -> tuple[_Kind, int]:
        self.builder.StartVector(4, len(tables), 4)
        for _, offset in reversed(tables):
            self.builder.PrependUOffsetTRelative(offset)
        return "offset", self.builder.EndVector()

    def table(self, slots: int, values: Mapping[int, tuple[_Kind, int]]) -> tuple[_Kind, int]:
        """A table with so many slots, of which these are filled."""
        put: Mapping[_Kind, Any] = {
            "offset": self.builder.PrependUOffsetTRelativeSlot,
            "byte": self.builder.PrependInt8Slot,
            "union": self.builder.PrependUint8Slot,
            "uint": self.builder.PrependUint32Slot,
            "int": self.builder.PrependInt32Slot,
        }
        self.builder.StartObject(slots)
        for slot, (kind, value) in values.items():
            put[kind](slot, value, 0)
        return "offset", self.builder.EndObject()

    def finished(self, root: tuple[_Kind, int]) -> bytes:
        self.builder.Finish(root[1], file_identifier=IDENTIFIER)
        return bytes(self.builder.Output())


def _model_metadata(about: About) -> Any:
    import numpy as np

    new = _Tables()
    graph = new.table(
        10, {2: new.several(_input(new, about)), 3: new.several(_output(new, about)), 0: new.text("main")}
    )
    told = {0: about.name, 1: about.description, 2: about.version, 7: _PARSER}
    if about.license is not None:
        told[5] = about.license
    fields = {slot: new.text(value) for slot, value in told.items()}
    return np.frombuffer(new.finished(new.table(8, {**fields, 3: new.several(graph)})), np.uint8)


def _input(new: _Tables, about: About) -> tuple[_Kind, int]:
    """A picture whose pixels, 0 to 255, are normalised by (pixel - mean) / std."""
    ready = about.preprocessing
    mean, std = ([_LARGEST_PIXEL * value for value in values] for values in (ready.mean, ready.std))
    colours, colour_space = ("RGB", _RGB) if ready.channels == 3 else ("grey", _GRAYSCALE)
    unit = new.table(
        2, {1: new.table(2, {0: new.floats(mean), 1: new.floats(std)}), 0: ("union", _NORMALIZATION)}
    )
    return new.table(
        7,
        {
            0: new.text("image"),
            1: new.text(
                f"{ready.height}×{ready.width} {colours} picture, resized with Pillow's bilinear filter"
            ),
            3: new.table(
                3,
                {1: _picture(new, ready, colour_space), 0: ("union", _IMAGE)},
            ),
            4: new.several(unit),
        },
    )


def _picture(new: _Tables, ready: Preprocessing, colours: int) -> tuple[_Kind, int]:
    size = new.table(2, {0: ("uint", ready.width), 1: ("uint", ready.height)})
    return new.table(2, {0: ("byte", colours), 1: size})


def _output(new: _Tables, about: About) -> tuple[_Kind, int]:
    """Logits: one a class, or for segmentation one a class and pixel; labels name the last axis."""
    segments = about.task == "segmentation"
    if segments:
        axes = new.table(2, {0: ("int", 1), 1: ("int", 2)})  # height and width are the picture's
        content = new.table(
            3, {1: _picture(new, about.preprocessing, _GRAYSCALE), 0: ("union", _IMAGE), 2: axes}
        )
    else:
        content = new.table(3, {1: new.table(0, {}), 0: ("union", _FEATURE)})
    described = "logits of each pixel" if segments else "logits, before any softmax"
    fields = {0: new.text("mask" if segments else "logits"), 1: new.text(described), 3: content}
    if about.labels:
        named = new.table(5, {0: new.text(LABELS), 1: new.text("class names"), 2: ("byte", _AXIS_LABELS)})
        fields[6] = new.several(named)
    return new.table(7, fields)
