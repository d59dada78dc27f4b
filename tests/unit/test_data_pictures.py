from __future__ import annotations

import io
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from edgekit.data.pictures import FORMATS, BadPictureError, decode

# Pillow's remarks on damaged metadata, which the data set's loader silences in its one place
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning:PIL", "ignore::DeprecationWarning:PIL")

RED, BLUE = (200, 0, 0), (0, 0, 200)


def saved(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def half_red(width: int = 8, height: int = 4) -> Image.Image:
    """Red on the left, blue on the right."""
    image = Image.new("RGB", (width, height), BLUE)
    image.paste(RED, (0, 0, width // 2, height))
    return image


def test_a_picture_keeps_its_colours_and_place() -> None:
    pixels = decode(saved(half_red()), height=4, width=8, channels=3)
    assert pixels.shape == (3, 4, 8)
    assert pixels.dtype == np.uint8
    assert pixels.flags["C_CONTIGUOUS"]
    assert pixels[:, 0, 0].tolist() == list(RED)
    assert pixels[:, 3, 7].tolist() == list(BLUE)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_read(form: str) -> None:
    pixels = decode(saved(half_red(32, 32), form), height=32, width=32, channels=3)
    assert np.abs(pixels[:, 16, 8].astype(int) - RED).max() < 40


@pytest.mark.parametrize(
    ("orientation", "red"),
    [
        (1, "left"),
        (2, "right"),
        (3, "right"),
        (4, "left"),
        (5, "top"),
        (6, "top"),
        (7, "bottom"),
        (8, "bottom"),
    ],
)
def test_pictures_are_turned_upright(orientation: int, red: str) -> None:
    image = half_red(8, 8)
    exif = image.getexif()
    exif[0x0112] = orientation
    pixels = decode(saved(image, exif=exif), height=8, width=8, channels=3)
    sides = {"left": pixels[:, :, 0], "right": pixels[:, :, 7], "top": pixels[:, 0], "bottom": pixels[:, 7]}
    assert [side for side, edge in sides.items() if (edge == np.asarray(RED)[:, None]).all()] == [red]


def test_grey_is_luminance() -> None:
    pixels = decode(saved(half_red()), height=4, width=8, channels=1)
    assert pixels.shape == (1, 4, 8)
    assert pixels[0, 0, 0] == round(200 * 0.299)
    assert pixels[0, 0, 7] == round(200 * 0.114)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGBA", "I;16"])
def test_other_modes_become_rgb(mode: str) -> None:
    whites: dict[str, float | tuple[int, ...]] = {"LA": (255, 255), "RGBA": (255,) * 4, "I;16": 65535}
    image = Image.new(mode, (6, 6), whites.get(mode, 255))
    if mode == "P":
        image.putpalette([0, 0, 0] * 255 + [255, 255, 255])
        image.info["transparency"] = bytes([0] * 256)
    assert (decode(saved(image), height=3, width=3, channels=3) == 255).all()


def test_sixteen_bits_are_scaled_not_clipped() -> None:
    image = Image.fromarray(np.full((4, 4), 0x4000, dtype=np.uint16))
    assert (decode(saved(image), height=4, width=4, channels=1) == 0x40).all()


def test_resizing_averages_what_it_shrinks() -> None:
    """Plain bilinear sampling would hit only every eighth stripe; Pillow's kernel covers all of them."""
    stripes = np.zeros((64, 64), dtype=np.uint8)
    stripes[:, ::2] = 255
    pixels = decode(saved(Image.fromarray(stripes)), height=8, width=8, channels=1)
    assert np.abs(pixels.astype(int) - 127).max() < 12


@pytest.mark.parametrize(
    "content", [b"", b"hello", b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 8 8\n", b"\x00" * 64]
)
def test_what_is_no_picture_is_refused(content: bytes) -> None:
    with pytest.raises(BadPictureError, match="not a picture"):
        decode(content, height=4, width=4, channels=3)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "BMP", "PPM", "TIFF", "WEBP"])
def test_truncated_files_are_refused_wherever_they_end(form: str) -> None:
    whole = saved(Image.effect_noise((24, 24), 60), form)
    for length in [*range(1, len(whole) - 5, 61), len(whole) - 5]:
        with pytest.raises(BadPictureError):
            decode(whole[:length], height=4, width=4, channels=3)


def test_pixels_without_a_known_range_are_refused() -> None:
    with pytest.raises(BadPictureError, match="32-bit"):
        decode(saved(Image.new("F", (4, 4)), "TIFF"), height=4, width=4, channels=1)


def test_a_bomb_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(BadPictureError):
        decode(saved(Image.new("RGB", (64, 64))), height=4, width=4, channels=3)


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(["PNG", "JPEG", "BMP", "GIF", "WEBP"]),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=8),
)
def test_damaged_files_are_read_or_refused(form: str, damage: list[tuple[int, int]]) -> None:
    image = half_red(16, 16)
    exif = image.getexif()
    exif[0x0112] = 6
    data = bytearray(saved(image, form, **({} if form in ("BMP", "GIF") else {"exif": exif})))
    for place, value in damage:
        data[place % len(data)] = value
    with suppress(BadPictureError):
        assert decode(bytes(data), height=4, width=4, channels=3).shape == (3, 4, 4)
