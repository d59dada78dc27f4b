"""The code of a bundle preprocesses as the evaluator does.

Kotlin and Swift cannot be run here: their constants are read out of the generated files, and the way of their
resampling, written a second time in numpy, must give the evaluator's very tensors. (`make test-bundle` compiles
and runs the Kotlin itself.)
"""

from __future__ import annotations

import io
import re
from typing import Any

import numpy as np
import pytest
from PIL import Image

from edgekit.bundle.manifest import BundleManifest, KnownAnswers, Quantized, Signature
from edgekit.bundle.picture import drawn, preprocessed
from edgekit.bundle.render import literals, plain, rendered
from edgekit.model import Preprocessing

Array = np.ndarray[Any, Any]
COLOUR = Preprocessing(height=24, width=40, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
GREY = Preprocessing(height=17, width=9, mean=(0.1307,), std=(0.3081,))
LARGER = Preprocessing(height=61, width=300, mean=(0.0, 1e-5, 1 / 3), std=(1.0, 0.9, 1 / 3))


def manifest(ready: Preprocessing, *, name: str = "net") -> BundleManifest:
    quantization = Quantized(scale=0.02, zero_point=-3)
    shapes = ((1, ready.height, ready.width, ready.channels), "NHWC"), ((1, 10), "NC")
    tensors = [
        Signature(name=name, shape=shape, dtype="float32", layout=layout, quantization=quantization)
        for shape, layout in shapes
    ]
    known = KnownAnswers(
        inputs=("known/input-0.f32",),
        outputs=("known/output-0.f32",),
        picture="known/picture.png",
        picture_input="known/input-picture.f32",
        picture_output="known/output-picture.f32",
        tolerance=0.024,
        picture_tolerance=0.0078,
        answered_by="LiteRT",
    )
    return BundleManifest(
        model=name,
        task="classification",
        precision="fp32",
        target="android",
        license=None,
        source_sha256="0",
        inputs=(tensors[0],),
        outputs=(tensors[1],),
        preprocessing=ready,
        resize="bilinear",
        labels=(),
        accuracy=None,
        latencies=(),
        known_answers=known,
        versions={"edgekit": "0"},
        notes=(),
        sha256={"model.tflite": "0"},
    )


def constants(code: str) -> dict[str, Array]:
    """Every constant of a generated file by its name in capitals, as float32 or an integer."""
    found = {}
    for name, value in re.findall(r"(?:val|let) (\w+)(?:: [^=]+)? = (.+)$", code, re.MULTILINE):
        numbers = re.findall(r"-?\d+(?:\.\d+)?", value)
        if re.fullmatch(r"(?:floatArrayOf\(|\[)?[-\d., f]+(?:\)|\])?", value):
            key = re.sub(r"([a-z])([A-Z])", r"\1_\2", name).upper()
            found[key] = np.array([float(each) for each in numbers], np.float32)
    return found


def interpreted(png: bytes, told: dict[str, Array], *, rows_first: bool = True) -> Array:
    """What `preprocess` of the generated code does, by its constants: (H, W, C) float32."""
    rgb = np.asarray(Image.open(io.BytesIO(png)).convert("RGB")).astype(np.int64)
    height, width, channels, bits = (
        int(told[name][0]) for name in ("HEIGHT", "WIDTH", "CHANNELS", "PRECISION_BITS")
    )
    grey = (rgb @ np.array([19595, 38470, 7471]) + 0x8000) >> 16
    planes = [grey] if channels == 1 else list(rgb.transpose(2, 0, 1))
    if rows_first:
        resized = [resample(resample(plane, width, bits), height, bits) for plane in planes]
    else:
        resized = [resample(resample(plane.T, height, bits), width, bits).T for plane in planes]
    pixels = np.stack(resized, axis=-1).astype(np.float32)
    result: Array = (pixels / np.float32(255) - told["MEAN"]) / told["STD"]
    return result


def resample(plane: Array, to: int, bits: int) -> Array:
    """Each row resized to `to` pixels, rows given as columns."""
    size = plane.shape[1]
    scale = size / to
    support = max(scale, 1.0)
    result = np.empty((to, len(plane)), np.int64)
    for x in range(to):
        center = (x + 0.5) * scale
        first, last = max(int(center - support + 0.5), 0), min(int(center + support + 0.5), size)
        places = np.arange(first, last)
        shares = np.maximum(0, 1 - np.abs((places - center + 0.5) * (1 / support)))
        weights = (0.5 + shares / shares.sum() * (1 << bits)).astype(np.int64)
        result[x] = ((plane[:, first:last] @ weights + (1 << (bits - 1))) >> bits).clip(0, 255)
    return result


def noise(height: int, width: int) -> bytes:
    pixels = np.random.default_rng(height).integers(0, 256, (height, width, 3)).astype(np.uint8)
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


@pytest.mark.parametrize("language", ["kt", "swift"])
@pytest.mark.parametrize("ready", [COLOUR, GREY, LARGER], ids=["colour", "grey", "larger"])
@pytest.mark.parametrize(
    "png", [None, noise(100, 91), noise(7, 500), noise(24, 40)], ids=["drawn", "a", "b", "c"]
)
def test_the_codes_preprocessing_is_the_evaluators(
    language: str, ready: Preprocessing, png: bytes | None
) -> None:
    picture = png or drawn(ready)
    told = constants(rendered(manifest(ready))[f"EdgekitModel.{language}"])
    evaluated = preprocessed(picture, ready)[0].transpose(1, 2, 0)
    code, columns_first = interpreted(picture, told), interpreted(picture, told, rows_first=False)
    # Newer Pillows begin with the columns where that is cheaper; then some pixels differ, by one grey value.
    assert np.array_equal(code, evaluated) or np.array_equal(columns_first, evaluated)
    assert np.abs(code - evaluated).max() * min(ready.std) * 255 <= 1.001


@pytest.mark.parametrize("language", ["kt", "swift"])
def test_every_constant_is_the_manifests(language: str) -> None:
    told = constants(rendered(manifest(COLOUR))[f"EdgekitModel.{language}"])
    assert told["KNOWN"] == 1
    assert np.array_equal(told["MEAN"], np.array(COLOUR.mean, np.float32))
    assert np.array_equal(told["STD"], np.array(COLOUR.std, np.float32))
    assert [int(told[name][0]) for name in ("HEIGHT", "WIDTH", "CHANNELS")] == [24, 40, 3]
    assert told["TOLERANCE"] == np.float32(0.024)
    assert told["PICTURE_TOLERANCE"] == np.float32(0.0078)


def test_names_of_others_are_text_in_card_and_code() -> None:
    name = "a|b`<script>\n*/ import evil"
    texts = rendered(manifest(COLOUR, name=name))
    assert not [line for text in texts.values() for line in text.splitlines() if line.startswith("*/ import")]
    assert "<script>" not in texts["MODEL_CARD.md"].replace("\\<script\\>", "")
    assert plain(name) == "a\\|b\\`\\<script\\> \\*/ import evil"


def test_the_versions_of_a_report_are_not_in_the_code() -> None:
    evil = manifest(COLOUR).model_copy(update={"versions": {"edgekit": "1\nimport evil"}})
    assert rendered(evil) == rendered(manifest(COLOUR))


def test_numbers_that_are_none_cannot_stand_in_code() -> None:
    assert literals((0.1, 1e-5, 255.0), "f") == "0.1f, 0.00001f, 255.0f"
    with pytest.raises(ValueError, match="cannot stand in code"):
        literals((float("nan"),))


def test_the_drawn_picture_needs_resizing_both_ways() -> None:
    with Image.open(io.BytesIO(drawn(COLOUR))) as picture:
        assert picture.size == (62, 37)
    assert len(np.unique(preprocessed(drawn(COLOUR), COLOUR))) > 100
