"""A drawn picture whose preprocessing is known: not a photograph, and of another size than the network's."""

from __future__ import annotations

import io

import numpy as np
from PIL import Image

from edgekit.data.pictures import decode
from edgekit.data.split import Images, Pixels, normalise
from edgekit.model import Preprocessing


def drawn(ready: Preprocessing) -> bytes:
    """A PNG, RGB, half as large again and a bit: gradients, a disc and stripes, which resizing must mix."""
    height, width = ready.height * 3 // 2 + 1, ready.width * 3 // 2 + 2
    rows, columns = np.mgrid[0:height, 0:width]
    picture: Pixels = np.empty((height, width, 3), dtype=np.uint8)
    picture[..., 0] = rows * 255 // height
    picture[..., 1] = columns * 255 // width
    picture[..., 2] = ((rows + columns) // 3 % 2) * 200 + 20
    disc = (3 * rows - height) ** 2 + (2 * columns - width) ** 2 < (min(height, width) // 2) ** 2
    picture[disc] = (230, 60, 10)
    stream = io.BytesIO()
    Image.fromarray(picture).save(stream, format="PNG")
    return stream.getvalue()


def preprocessed(png: bytes, ready: Preprocessing) -> Images:
    """What the evaluator makes of a picture file: (1, C, H, W) float32."""
    pixels = decode(png, height=ready.height, width=ready.width, channels=ready.channels)
    return normalise(pixels[None], ready)
