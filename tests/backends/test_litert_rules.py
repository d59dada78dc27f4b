"""Each rule of LiteRT's, broken alone in a file that edgekit wrote by all of them: the breach names the operator."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from exporting import exported, quantized
from torch import nn

from edgekit.exporters.litert_graph import pack, read_graph, unpack
from edgekit.exporters.litert_rules import breaches
from edgekit.target import FileRules

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

RULES = FileRules(runtime="litert")


class Gated(nn.Module):
    """A convolution, a depthwise one, their concatenation, pooled; a gate; a linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 8, 3, stride=2, padding=1)
        self.second = nn.Conv2d(8, 8, 3, padding=1, groups=8)
        self.gate = nn.Conv2d(16, 16, 1)
        self.fc = nn.Linear(16, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Classes (N, 10)."""
        x = self.first(x).relu()
        x = nn.functional.max_pool2d(torch.cat([x, self.second(x)], 1), 2)
        x = x * self.gate(x).sigmoid()
        result: torch.Tensor = self.fc(x.mean((2, 3)))
        return result


@pytest.fixture(scope="module")
def content(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    folder = tmp_path_factory.mktemp("by the rules")
    return exported(quantized(Gated, "android"), "android", folder).model_path.read_bytes()


class File:
    """A file's flatbuffer, to be altered."""

    def __init__(self, content: bytes) -> None:
        self.model, self.graph = unpack(content), read_graph(content)
        self.tensors = self.model.subgraphs[0].tensors

    def operator(self, kind: str) -> Any:
        """The first of that kind."""
        return next(each for each in self.graph.operators if each.kind == kind)

    def input(self, kind: str, place: int) -> Any:
        """One of its input tensors."""
        return self.tensors[self.operator(kind).inputs[place]]

    def output(self, kind: str) -> Any:
        """Its output tensor."""
        return self.tensors[self.operator(kind).outputs[0]]

    def data(self, tensor: Any) -> Any:
        """A constant's bytes, of its own, to be written to."""
        buffer = self.model.buffers[tensor.buffer]
        buffer.data = np.array(buffer.data)
        return buffer.data.view(np.int8)


def scaled(tensor: Any, factor: float) -> None:
    tensor.quantization.scale = [factor * scale for scale in tensor.quantization.scale]


def shifted(tensor: Any, zero: int) -> None:
    tensor.quantization.zeroPoint = [zero for _ in tensor.quantization.zeroPoint]


def several_scales(file: File) -> None:
    grid = file.output("MUL").quantization
    grid.scale, grid.zeroPoint = [0.1] * 8, [0] * 8


def weight_of_one_scale(file: File) -> None:
    for place in (1, 2):
        grid = file.input("CONV_2D", place).quantization
        grid.scale, grid.zeroPoint = list(grid.scale[:1]), [0]


def weight_along_inputs(file: File) -> None:
    file.input("DEPTHWISE_CONV_2D", 1).quantization.quantizedDimension = 0


def lowest_weight(file: File) -> None:
    file.data(file.input("CONV_2D", 1))[0] = -128


def float_bias(file: File) -> None:
    file.input("CONV_2D", 2).type = 0


def pair_inside(file: File) -> None:
    """QUANTIZE at the input reads the DEQUANTIZE of its own result: a pair that does nothing."""
    source = file.operator("QUANTIZE")
    index = next(i for i, each in enumerate(file.graph.operators) if each.kind == "DEQUANTIZE")
    before = file.graph.operators[index]
    moved = file.model.subgraphs[0].operators
    place = file.graph.operators.index(source)
    moved[place].inputs = [before.outputs[0]]


def idle(file: File) -> None:
    """A QUANTIZE from integers to the very grid that they have."""
    read = file.tensors[file.operator("QUANTIZE").inputs[0]]
    made = file.output("QUANTIZE")
    read.type, read.quantization = made.type, made.quantization


CASES: list[tuple[Callable[[File], Any], str]] = [
    (several_scales, r"\S+: an activation has 8 scales, not one"),
    (lambda f: shifted(f.output("MUL"), 300), r"\S+: its zero point is 300, no int8"),
    (
        lambda f: scaled(f.output("MAX_POOL_2D"), 1.000005),
        r"MAX_POOL_2D \S+: its inputs and outputs have several scales and zero points: .*",
    ),
    (
        lambda f: scaled(f.output("LOGISTIC"), 2),
        r"LOGISTIC \S+: its output has scale 0.0078125, -128, not 0.00390625, -128",
    ),
    (weight_of_one_scale, r"CONV_2D \S+: its weight has 1 scales for 8 output channels"),
    (weight_along_inputs, r"DEPTHWISE_CONV_2D \S+: its weight's scales lie along axis 0, not 3"),
    (lambda f: shifted(f.input("CONV_2D", 1), 2), r"CONV_2D \S+: its weight's zero point is 2, not 0"),
    (lowest_weight, r"CONV_2D \S+: its weight holds -128; integers are -127 to 127"),
    (float_bias, r"CONV_2D \S+: its bias is FLOAT32, not INT32"),
    (
        lambda f: scaled(f.input("FULLY_CONNECTED", 2), 2),
        r"FULLY_CONNECTED \S+: its bias's scale is not that of its input times those of its weight",
    ),
    (lambda f: shifted(f.input("CONV_2D", 2), 1), r"CONV_2D \S+: its bias's zero point is 1, not 0"),
    (pair_inside, r"QUANTIZE \S+: it reads what a DEQUANTIZE made of \S+"),
    (idle, r"QUANTIZE \S+: \S+ has that scale and zero point already"),
]


def test_a_file_by_the_rules_breaks_none(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(content)
    assert breaches(tmp_path / "model.tflite", RULES) == []


@pytest.mark.parametrize(("change", "expected"), CASES)
def test_a_broken_rule_is_found_and_named(
    change: Callable[[File], Any], expected: str, content: bytes, tmp_path: Path
) -> None:
    file = File(content)
    change(file)
    (tmp_path / "model.tflite").write_bytes(pack(file.model))
    found = breaches(tmp_path / "model.tflite", RULES)
    assert len(found) == 1, found
    assert re.fullmatch(expected, found[0])


def test_a_weighted_operator_that_computes_in_float_is_named(content: bytes, tmp_path: Path) -> None:
    file = File(content)
    file.output("DEPTHWISE_CONV_2D").type = 0
    (tmp_path / "model.tflite").write_bytes(pack(file.model))
    found = breaches(tmp_path / "model.tflite", RULES)
    assert [breach.split()[0] for breach in found] == ["DEPTHWISE_CONV_2D", "CONCATENATION"]
    assert all("is float" in breach for breach in found)


def test_integers_alone_is_a_rule_of_its_own(content: bytes, tmp_path: Path) -> None:
    """The file of a phone: float32 goes in and comes out."""
    (tmp_path / "model.tflite").write_bytes(content)
    found = breaches(tmp_path / "model.tflite", RULES.model_copy(update={"integer_only": True}))
    kinds = [breach.split(": ")[1].split()[0] for breach in found[:2]], [b.split()[0] for b in found[2:]]
    assert kinds == (["the", "the"], ["QUANTIZE", "DEQUANTIZE"])


def test_an_operator_that_the_target_does_not_have_is_named(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "model.tflite").write_bytes(content)
    kinds = {each.kind for each in read_graph(content).operators} - {"LOGISTIC"}
    (found,) = breaches(
        tmp_path / "model.tflite", RULES.model_copy(update={"operators": tuple(sorted(kinds))})
    )
    assert re.fullmatch(r"LOGISTIC \S+: the target has no LOGISTIC", found)
