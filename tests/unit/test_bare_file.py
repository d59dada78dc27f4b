"""An ONNX file without a manifest: what can be run of it is read from it, and what cannot is refused."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from edgekit.errors import InputError
from edgekit.pipeline.bare_file import artifact_of_file

Shape = Sequence[int | str]


def written(
    folder: Path, shape: Shape = (1, 3, 8, 8), *, kind: int = TensorProto.FLOAT, inputs: int = 1
) -> Path:
    """Global average pooling to (N, 3), of the sum of all inputs."""
    names = [f"x{index}" for index in range(inputs)]
    nodes = [
        helper.make_node("Sum", names, ["sum"]),
        helper.make_node("GlobalAveragePool", ["sum"], ["mean"]),
        helper.make_node("Flatten", ["mean"], ["y"]),
    ]
    given = [helper.make_tensor_value_info(name, kind, list(shape)) for name in names]
    answer = helper.make_tensor_value_info("y", kind, None)
    path = folder / "some.onnx"
    onnx.save(helper.make_model(helper.make_graph(nodes, "some", given, [answer])), path)
    return path


def test_the_signature_is_read(tmp_path: Path) -> None:
    found = artifact_of_file(written(tmp_path))
    manifest = found.manifest
    assert (manifest.model, manifest.format, manifest.precision) == ("some", "onnx", "fp32")
    assert (manifest.inputs[0].shape, manifest.inputs[0].layout) == ((1, 3, 8, 8), "NCHW")
    assert (manifest.outputs[0].shape, manifest.outputs[0].layout) == ((1, 3), "NC")
    found.verify()


def test_an_open_batch_is_one(tmp_path: Path) -> None:
    manifest = artifact_of_file(written(tmp_path, ("n", 3, 8, 8))).manifest
    assert manifest.inputs[0].shape == (1, 3, 8, 8)
    assert manifest.outputs[0].shape == (1, 3)


@pytest.mark.parametrize("shape", [(1, 3, "h", "w"), (1, 3, 8, "w"), (1, 3, 8), (3,)])
def test_open_sizes_and_other_ranks_are_refused(tmp_path: Path, shape: Shape) -> None:
    with pytest.raises(InputError, match="is no float32 tensor of two or four dimensions of a fixed size"):
        artifact_of_file(written(tmp_path, shape))


def test_other_types_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no float32 tensor"):
        artifact_of_file(written(tmp_path, kind=TensorProto.FLOAT16))


def test_several_inputs_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not take one input"):
        artifact_of_file(written(tmp_path, inputs=2))


def test_weights_elsewhere_are_refused(tmp_path: Path) -> None:
    path = written(tmp_path)
    model = onnx.load(path)
    weights = numpy_helper.from_array(np.zeros(2000, dtype=np.float32), "w")
    model.graph.initializer.append(weights)
    onnx.save(model, path, save_as_external_data=True, location="weights.bin")
    with pytest.raises(InputError, match="keeps weights in another file"):
        artifact_of_file(path)


def test_what_is_no_onnx_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "some.onnx"
    path.write_bytes(b"no protobuf")
    with pytest.raises(InputError, match=r"is not an ONNX file|cannot be read as ONNX"):
        artifact_of_file(path)
    with pytest.raises(InputError, match="only an ONNX file can be run without"):
        artifact_of_file(tmp_path / "some.tflite")
