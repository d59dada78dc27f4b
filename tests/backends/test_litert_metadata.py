"""Metadata in the standard form: read back by the schema's slots, and what the model computes is untouched."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

import flatbuffers.table  # type: ignore[import-untyped]
import numpy as np
import pytest
from bundles import LOCAL
from flatbuffers import number_types
from small_networks import pictures

from edgekit.artifact import ArtifactFolder
from edgekit.bench import predict
from edgekit.errors import InputError
from edgekit.exporters.litert_graph import read_graph, unpack
from edgekit.exporters.litert_metadata import About, metadata_in, packed_labels, with_metadata
from edgekit.files import sha256
from edgekit.model import Preprocessing

ABOUT = About(
    name="net",
    description="what it is",
    version="edgekit 1",
    task="classification",
    preprocessing=Preprocessing(height=32, width=48, mean=(0.5, 0.25, 0.125), std=(0.25,) * 3),
    labels=tuple(f"class {index}" for index in range(10)),
    license="Apache-2.0",
)


class Table:
    """A table of a flatbuffer, by slots."""

    def __init__(self, content: bytes, at: int) -> None:
        self.table = flatbuffers.table.Table(content, at)

    def _place(self, slot: int) -> int:
        offset = self.table.Offset(4 + 2 * slot)
        assert offset, f"slot {slot} is empty"
        return int(offset)

    def text(self, slot: int) -> str:
        return bytes(self.table.String(self._place(slot) + self.table.Pos)).decode()

    def number(self, slot: int, flags: type = number_types.Uint8Flags) -> int:
        return int(self.table.Get(flags, self._place(slot) + self.table.Pos))

    def inner(self, slot: int) -> Table:
        return Table(self.table.Bytes, self.table.Indirect(self._place(slot) + self.table.Pos))

    def union(self, slot: int) -> Table:
        place = self.table.Pos + self._place(slot)
        return Table(self.table.Bytes, place + self.table.Get(number_types.UOffsetTFlags, place))

    def items(self, slot: int) -> list[Table]:
        place = self._place(slot)
        start = self.table.Vector(place)
        return [
            Table(self.table.Bytes, self.table.Indirect(start + 4 * index))
            for index in range(self.table.VectorLen(place))
        ]

    def floats(self, slot: int) -> list[float]:
        place = self._place(slot)
        start, count = self.table.Vector(place), self.table.VectorLen(place)
        return list(struct.unpack_from(f"<{count}f", self.table.Bytes, start))


def root(content: bytes) -> Table:
    assert content[4:8] == b"M001"
    return Table(content, int(struct.unpack_from("<I", content)[0]))


def test_the_tables_say_what_the_model_is(phone_int8: ArtifactFolder) -> None:
    told = root(metadata_in(with_metadata(phone_int8.model_path.read_bytes(), ABOUT)))
    assert [told.text(slot) for slot in (0, 1, 2, 5, 7)] == [
        "net",
        "what it is",
        "edgekit 1",
        "Apache-2.0",
        "1.0.0",
    ]
    (graph,) = told.items(3)
    ((fed,), (given,)) = graph.items(2), graph.items(3)
    (unit,) = fed.items(4)
    assert unit.number(0) == 1  # NormalizationOptions
    assert unit.union(1).floats(0) == [127.5, 63.75, 31.875]
    assert unit.union(1).floats(1) == [63.75] * 3
    picture = fed.inner(3)
    assert picture.number(0) == 2  # ImageProperties
    assert picture.union(1).number(0) == 1  # RGB
    size = picture.union(1).inner(1)
    assert [size.number(slot, number_types.Uint32Flags) for slot in (0, 1)] == [48, 32]
    (labels,) = given.items(6)
    assert (labels.text(0), labels.number(2)) == ("labels.txt", 2)  # TENSOR_AXIS_LABELS


def test_labels_lie_behind_the_model_uncompressed(phone_int8: ArtifactFolder, tmp_path: Path) -> None:
    content = with_metadata(phone_int8.model_path.read_bytes(), ABOUT)
    assert packed_labels(content) == "".join(f"class {index}\n" for index in range(10))
    (tmp_path / "model.tflite").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "model.tflite") as archive:
        assert [(each.filename, each.compress_type) for each in archive.infolist()] == [("labels.txt", 0)]


def test_the_computation_stays_bit_equal(phone_int8: ArtifactFolder, tmp_path: Path) -> None:
    before = phone_int8.model_path.read_bytes()
    content = with_metadata(before, ABOUT)
    path = tmp_path / "model.tflite"
    path.write_bytes(content)
    described = phone_int8.manifest.model_copy(update={"sha256": {"model.tflite": sha256(path)}}).at(tmp_path)
    images = pictures(8, seed=3)
    assert np.array_equal(
        predict(phone_int8, "litert", images, LOCAL), predict(described, "litert", images, LOCAL)
    )
    graphs = [read_graph(each) for each in (before, content)]
    assert graphs[0].operators == graphs[1].operators
    for one, other in zip(graphs[0].tensors, graphs[1].tensors, strict=True):
        assert (one.name, one.shape, one.dtype, one.scales) == (
            other.name,
            other.shape,
            other.dtype,
            other.scales,
        )
        assert (one.data is None) == (other.data is None)
        if one.data is not None and other.data is not None:
            assert np.array_equal(one.data, other.data)


def test_the_same_input_gives_the_same_bytes_and_replaces_what_was_there(phone_int8: ArtifactFolder) -> None:
    once = with_metadata(phone_int8.model_path.read_bytes(), ABOUT)
    assert once == with_metadata(phone_int8.model_path.read_bytes(), ABOUT)
    other = About(**{**vars(ABOUT), "name": "other", "labels": (), "license": None})
    twice = with_metadata(once, other)
    assert root(metadata_in(twice)).text(0) == "other"
    assert packed_labels(twice) is None
    assert [entry.name for entry in unpack(twice).metadata].count(b"TFLITE_METADATA") == 1


def test_a_model_without_metadata_is_told(phone_int8: ArtifactFolder) -> None:
    with pytest.raises(InputError, match="holds no TFLite metadata"):
        metadata_in(phone_int8.model_path.read_bytes())


def test_what_is_packed_behind_a_model_is_not_compressed(phone_int8: ArtifactFolder) -> None:
    for compression in (zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA):
        stream = io.BytesIO(phone_int8.model_path.read_bytes())
        with zipfile.ZipFile(stream, "a", compression) as archive:
            archive.writestr("labels.txt", "a" * 10_000_000)
        with pytest.raises(InputError, match=r"'labels\.txt' packed behind it, which is compressed"):
            packed_labels(stream.getvalue())


def test_odd_archives_behind_a_model_are_bad_input(phone_int8: ArtifactFolder) -> None:
    content = with_metadata(phone_int8.model_path.read_bytes(), ABOUT)
    directory = content.rindex(b"PK\x01\x02")
    refused = 0
    for place in range(directory, len(content) - 22):
        spoilt = bytearray(content)
        spoilt[place] ^= 0xFF
        try:
            packed_labels(bytes(spoilt))
        except InputError:
            refused += 1
    assert refused > 10
