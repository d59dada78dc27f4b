"""Each rule of OpenVINO's, broken alone in an IR that meets them all: the breach names the operator."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from edgekit.exporters.openvino import package
from edgekit.exporters.openvino_rules import breaches
from edgekit.target import FileRules

if TYPE_CHECKING:
    from pathlib import Path

CHANNELS = 4
RULES = FileRules(runtime="openvino")
RANGE = (-1.28, 1.27)


@dataclass(frozen=True)
class Form:
    """What a file has in the place of what the rules want; the defaults are what they want."""

    levels: int = 256
    low: Any = RANGE[0]
    high: Any = RANGE[1]
    joined: tuple[float, float] = RANGE
    stored: type[np.generic] = np.int8
    scale: Any = field(default_factory=lambda: np.full((CHANNELS, 1, 1, 1), 0.01, np.float32))
    zero: float | None = None
    bias: type[np.generic] = np.float32
    fed: bool = True
    part: bool = True
    between: bool = False


def write(form: Form, folder: Path) -> Path:
    """FakeQuantize → convolution → bias → ReLU → FakeQuantize, twice into a Concat → product."""
    openvino = package()
    from openvino import opset13 as ov

    def named(node: Any, name: str) -> Any:
        node.set_friendly_name(name)
        return node

    def quantized(value: Any, name: str, low: Any, high: Any, levels: int) -> Any:
        ends = [np.float32(low), np.float32(high), np.float32(low), np.float32(high)]
        return named(ov.fake_quantize(value, *map(ov.constant, ends), levels), name)

    def stored(values: Any, scale: Any, zero: float | None, name: str) -> Any:
        if values.dtype == np.float32:
            return named(ov.constant(values), name)
        real = ov.convert(named(ov.constant(values), name), "f32")
        real = real if zero is None else ov.subtract(real, ov.constant(np.float32(zero)))
        return ov.multiply(real, ov.constant(scale))

    rng = np.random.default_rng(0)
    source = ov.parameter((1, CHANNELS, 8, 8), np.float32, name="input")
    fed = quantized(source, "first", form.low, form.high, form.levels) if form.fed else source
    kernel = rng.integers(-127, 128, (CHANNELS, CHANNELS, 1, 1)).astype(form.stored)
    conv = named(
        ov.convolution(
            fed, stored(kernel, form.scale, form.zero, "conv.weight"), [1, 1], [0, 0], [0, 0], [1, 1]
        ),
        "conv",
    )
    values = rng.normal(size=(1, CHANNELS, 1, 1)).astype(form.bias)
    added = ov.add(conv, stored(values, np.full((1, 1, 1, 1), 0.1, np.float32), None, "conv.bias"))
    if form.between:
        added = quantized(added, "early", *RANGE, 256)
    kept = quantized(named(ov.relu(added), "relu"), "second", 0.0, 2.55, 256)
    other = (
        quantized(ov.sigmoid(fed), "third", *form.joined, 256)
        if form.part
        else named(ov.sigmoid(fed), "gate")
    )
    again = quantized(kept, "fourth", *RANGE, 256)
    joined = named(ov.concat([again, other], 1), "join")
    flat = ov.reshape(joined, np.array([1, -1]), special_zero=False)
    weight = rng.integers(-127, 128, (10, 2 * CHANNELS * 64)).astype(np.int8)
    fine = stored(weight, np.full((10, 1), 0.01, np.float32), None, "fc.weight")
    last = quantized(flat, "fifth", *RANGE, 256)
    product = named(ov.matmul(last, fine, transpose_a=False, transpose_b=True), "fc")
    path = folder / "model.xml"
    openvino.save_model(openvino.Model([product], [source], "network"), path, compress_to_fp16=False)
    return path


def test_a_file_by_the_rules_breaks_none(tmp_path: Path) -> None:
    assert breaches(write(Form(), tmp_path), RULES) == []


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"levels": 16, "low": -0.8, "high": 0.7}, "first: 16 levels, not the 256 of 8-bit integers"),
        ({"low": 1.0, "high": -1.0}, "first: its range 1 to -1 is none"),
        ({"low": 0.1}, "first: zero does not lie on its grid of 0.1 to 1.27"),
        (
            {"low": np.full((1, CHANNELS, 1, 1), -1.28)},
            "first: an activation has a range per channel, not one per tensor",
        ),
        ({"fed": False}, "conv: its activation is not quantized"),
        ({"stored": np.float32}, "conv: its weight is stored as f32, not i8"),
        ({"stored": np.uint8}, "conv: its weight is stored as u8, not i8"),
        ({"zero": 2.0}, "conv: its weight's zero point is 2, not 0"),
        (
            {"scale": np.full((1, 1, 1, 1), 0.01, np.float32)},
            "conv: its weight has 1 scales for 4 output channels",
        ),
        (
            {"scale": np.full((1, CHANNELS, 1, 1), 0.01, np.float32)},
            "conv: its weight's scales lie along axis 1, not along output channels",
        ),
        (
            {"scale": np.array([0.01, 0.0, 0.01, 0.01], np.float32).reshape(-1, 1, 1, 1)},
            "conv: its weight's scale is no positive constant",
        ),
        ({"bias": np.int8}, "conv: its bias is quantized"),
        ({"between": True}, "conv: early stands between it and relu (Relu)"),
        (
            {"joined": (-2.56, 2.54)},
            "join (Concat): its parts have several ranges: -2.56 to 2.54, -1.28 to 1.27",
        ),
        ({"part": False}, "join (Concat): gate is float beside integers"),
    ],
)
def test_a_broken_rule_is_found_alone_and_named(
    changes: dict[str, Any], expected: str, tmp_path: Path
) -> None:
    assert breaches(write(replace(Form(), **changes), tmp_path), RULES) == [expected]
