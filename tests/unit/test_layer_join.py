"""Times of operators joined to layers, on profiles that were written by hand in each runtime's own words."""

from __future__ import annotations

import json
from typing import Any

import layer_profiles as made
import pytest
from layer_profiles import LAYERS, operator

from edgekit.bench.layer_join import BETWEEN, Layer, join, layers_in
from edgekit.bench.layer_litert import with_parts
from edgekit.bench.layer_trtexec import read_trtexec
from edgekit.errors import InputError
from edgekit.operators import FileOperator
from edgekit.report import LayerTime

INFERENCE_NS = 100.0


def times(rows: tuple[LayerTime, ...]) -> dict[str, float]:
    """Name → time; every row is its own."""
    found = {row.name: row.time_ns for row in rows}
    assert len(found) == len(rows)
    assert sum(found.values()) == INFERENCE_NS
    assert sum(row.macs or 0 for row in rows) == 1000
    return found


def test_onnxruntime() -> None:
    rows = join(made.by_onnxruntime(), made.onnx_file(), LAYERS, INFERENCE_NS)
    assert times(rows) == {
        "stem.0": 50,
        "block.conv + block": 20,
        "ReorderOutput_token_3": 4,
        "mean": 6,
        "head": 10,
        BETWEEN: 10,
    }
    fused = rows[1]
    assert (fused.operators, fused.macs, fused.memory_access_bytes) == (("Conv",), 200, 25)
    assert (rows[2].macs, rows[2].memory_access_bytes) == (None, None)


def test_openvino() -> None:
    file = made.onnx_file()
    file[-1] = FileOperator("output", "MatMul", ("mean", "head.weight"), ("output",), layer="head")
    found = times(join(made.by_openvino(), file, LAYERS, INFERENCE_NS))
    assert found == {
        "input_abcd_acdb_stem.0": 3,
        "stem.0": 40,
        "block.conv + block": 30,
        "mean": 7,
        "head": 10,
        BETWEEN: 10,
    }


def test_litert() -> None:
    file = made.litert_file()
    found = times(join(with_parts(made.by_litert(), file), file, LAYERS, INFERENCE_NS))
    assert found == {"stem.0": 45, "block.conv": 25, "block": 5, "mean": 5, "head": 10, BETWEEN: 10}


def test_kernels_of_another_number_are_nobodys() -> None:
    """One weighted kernel too few: no order tells which is missing, so every layer is there without a time."""
    file, ran = made.litert_file(), made.by_litert()[1:]
    joined = with_parts(ran, file)
    assert all(kernel.parts == () for kernel in joined)
    rows = join(joined, file, LAYERS, 55)
    assert [row.name for row in rows[:4]] == [kernel.name for kernel in ran]
    assert [(row.name, row.time_ns, row.operators) for row in rows[4:-1]] == [
        (layer.name, 0, ()) for layer in LAYERS
    ]
    assert rows[-1].time_ns == 10


PROFILE: list[dict[str, Any]] = [
    {"count": 400},
    {"name": "Reformatting CopyNode for Input Tensor 0 to stem.0 + n4", "timeMs": 1, "averageMs": 0.003},
    {"name": "stem.0 + n4", "timeMs": 16, "averageMs": 0.04, "medianMs": 0.04, "percentage": 40.0},
    {"name": "{ForeignNode[block.conv...node_add]}", "timeMs": 12, "averageMs": 0.03, "percentage": 30.0},
    {"name": "node_mean", "timeMs": 2.8, "averageMs": 0.007, "percentage": 7.0},
    {"name": "head", "timeMs": 4, "averageMs": 0.01, "percentage": 10.0},
]
INFO = {
    "Layers": [
        "Only a name, where the engine was built without details",
        {
            "Name": "{ForeignNode[block.conv...node_add]}",
            "Metadata": "[ONNX Layer: block.conv]\u001e[ONNX Layer: node_add]",
        },
        {"Name": "node_mean", "Metadata": ""},
    ]
}


def test_trtexec() -> None:
    ran, count = read_trtexec(json.dumps(PROFILE), json.dumps(INFO))
    assert count == 400
    found = {row.name: row.time_ns for row in join(ran, made.onnx_file(), LAYERS, 100_000)}
    assert found == pytest.approx(
        {
            PROFILE[1]["name"]: 3000,
            "stem.0": 40_000,
            "block.conv + block": 30_000,
            "mean": 7000,
            "head": 10_000,
            BETWEEN: 10_000,
        }
    )


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("not JSON", "is not JSON"),
        ("{}", "is a list"),
        ('[{"count": 3}]', "names no layer"),
        ('[{"count": 3}, {"name": "a"}]', "no time for a"),
        ('[{"count": 3}, {"name": "a", "averageMs": -1}]', "no time for a"),
    ],
)
def test_what_trtexec_never_wrote(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        read_trtexec(text)


def test_a_layer_that_is_used_twice_has_a_row_for_each_use() -> None:
    file = [
        FileOperator("shared", "Conv", ("input", "shared.weight"), ("a",), layer="shared"),
        FileOperator("shared:2", "Conv", ("a", "shared.weight"), ("b",), layer="shared"),
    ]
    layers = [Layer("shared", "conv 3x3", 7, 1), Layer("shared", "conv 3x3", 9, 1)]
    ran = [operator("shared", "Conv", 3, "shared"), operator("shared:2", "Conv", 4, "shared:2")]
    rows = join(ran, file, layers, 7)
    assert [(row.name, row.macs, row.time_ns) for row in rows[:2]] == [("shared", 7, 3), ("shared", 9, 4)]


def test_a_layer_that_runs_as_several_operators_has_one_row() -> None:
    ran = [operator("stem.0.a", "Pack", 3, "stem.0"), operator("stem.0.b", "Conv", 4, "conv2d", "n4")]
    rows = join(ran, made.onnx_file()[:2], LAYERS[:1], 7)
    assert [(row.name, row.operators, row.time_ns) for row in rows] == [
        ("stem.0", ("Pack", "Conv"), 7),
        (BETWEEN, (), 0),
    ]


def test_what_may_have_run_unnamed_is_not_counted_as_fused() -> None:
    """Between the convolution and the mean ran something without a name: it may be the sum."""
    ran = made.by_onnxruntime()
    ran[2] = operator("Kernel_12", "BinaryElementwise", 4, "Kernel_12")
    rows = join(ran, made.onnx_file(), LAYERS, INFERENCE_NS)
    assert times(rows)["block.conv"] == 20
    assert times(rows)["Kernel_12"] == 4
    assert times(rows)["block"] == 0


def test_a_file_alone_names_its_weighted_layers() -> None:
    rows = join(made.by_onnxruntime(), made.onnx_file(), layers_in(made.onnx_file()), INFERENCE_NS)
    assert [row.name for row in rows] == [
        "stem.0",
        "block.conv",
        "ReorderOutput_token_3",
        "mean",
        "head",
        BETWEEN,
    ]
    assert all(row.macs is None for row in rows)


def test_nothing_ran() -> None:
    rows = join([], made.onnx_file(), LAYERS, INFERENCE_NS)
    assert {row.name: row.time_ns for row in rows} == {
        **{layer.name: 0 for layer in LAYERS},
        BETWEEN: INFERENCE_NS,
    }
