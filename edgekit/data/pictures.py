"""From the bytes of a picture file to pixels of the network's size."""

from __future__ import annotations

import io
import struct

import numpy as np
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from edgekit.data.split import Pixels

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "PPM", "TIFF", "WEBP")
"""Only formats that Pillow decodes itself: others may start programs (EPS runs Ghostscript)."""

DECODER_ERRORS = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    LookupError,
    TypeError,
    ArithmeticError,
    AttributeError,
    RuntimeError,
    struct.error,
    Image.DecompressionBombError,
)
"""What Pillow's decoders raise on broken files (`SyntaxError` for a PNG chunk, `struct.error` for EXIF)."""

_ON_ITS_SIDE = (5, 6, 7, 8)
"""Values of EXIF's orientation that swap width and height."""


class BadPictureError(Exception):
    """These bytes are not a whole picture; says why."""


def decode(data: bytes, *, height: int, width: int, channels: int) -> Pixels:
    """Pixels (C, H, W), uint8: turned upright by its EXIF entry, grey (C = 1) or RGB, resized (bilinear).

    Of an animation the first frame counts, transparency is dropped, 16-bit greys keep their upper 8 bits.
    Raises `BadPictureError`.
    """
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            file.verify()  # a PNG cut off behind its last pixel would load
        with Image.open(io.BytesIO(data), formats=FORMATS) as file:
            file.load()
            image = _eight_bits(ImageOps.exif_transpose(file))
        if image.mode == "P":  # a palette may hold transparency, which only RGBA takes without a warning
            image = image.convert("RGBA")
        image = image.convert("L" if channels == 1 else "RGB").resize(
            (width, height), Image.Resampling.BILINEAR
        )
    except UnidentifiedImageError:
        raise BadPictureError("not a picture") from None
    except DECODER_ERRORS as error:
        raise BadPictureError(str(error) or type(error).__name__) from error
    pixels = np.asarray(image).reshape(height, width, channels)
    return np.ascontiguousarray(pixels.transpose(2, 0, 1))


def upright_size(data: bytes) -> tuple[int, int]:
    """Width and height of a whole picture, turned as its EXIF entry says."""
    with Image.open(io.BytesIO(data), formats=FORMATS) as file:
        turned = file.getexif().get(ExifTags.Base.Orientation, 1) in _ON_ITS_SIDE
        return (file.height, file.width) if turned else file.size


def _eight_bits(image: Image.Image) -> Image.Image:
    """Pillow clips 16-bit greys to white where it should scale them; 32-bit ones have no known range."""
    if image.mode in ("I", "F"):
        raise BadPictureError("32-bit pixels, whose range nobody knows")
    if not image.mode.startswith("I;16"):
        return image
    return Image.fromarray((np.asarray(image) >> 8).astype(np.uint8))
