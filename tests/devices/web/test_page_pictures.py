"""A picture becomes the network's input in the page as it does in the evaluator."""

from __future__ import annotations

import base64
import io
import json

import numpy as np
import pytest
from browser import Browser
from page_visit import on_page
from PIL import Image

from edgekit.artifact import ArtifactFolder
from edgekit.bundle.known import GREYS
from edgekit.bundle.picture import drawn, preprocessed
from edgekit.data.split import Images
from edgekit.devices.web.device import Web
from edgekit.model import Preprocessing

pytestmark = [pytest.mark.chromium, pytest.mark.web]
COLOUR = Preprocessing(height=32, width=24, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
GREY = Preprocessing(height=17, width=40, mean=(0.5,), std=(0.25,))
MADE = """(async () => {
    const {decode, preprocess} = await import('./preprocess.js');
    const bytes = Uint8Array.from(atob(PICTURE), letter => letter.charCodeAt(0));
    return Array.from(preprocess(await decode(new Blob([bytes])), READY, LAYOUT));
})()"""


def noisy(height: int, width: int) -> bytes:
    stream = io.BytesIO()
    pixels = np.random.default_rng(5).integers(0, 256, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(stream, format="PNG")
    return stream.getvalue()


def test_preprocessing_is_the_evaluator_s(onnx_int8: ArtifactFolder, phone: Browser) -> None:
    def work(_: Web) -> None:
        for ready in (COLOUR, GREY):
            for picture in (drawn(ready), noisy(200, 311), noisy(9, 7)):
                wanted = preprocessed(picture, ready)[0]
                for layout in ("NCHW", "NHWC"):
                    given = made(phone, picture, ready, layout)
                    off = float(np.max(np.abs(given - wanted)))
                    assert off <= GREYS / min(ready.std)

    on_page(phone, onnx_int8, work)


def made(phone: Browser, picture: bytes, ready: Preprocessing, layout: str) -> Images:
    """The page's tensor, channels first."""
    code = MADE.replace("PICTURE", json.dumps(base64.b64encode(picture).decode()))
    code = code.replace("READY", ready.model_dump_json()).replace("LAYOUT", json.dumps(layout))
    values = np.asarray(phone.evaluate(code), dtype=np.float32)
    if layout == "NHWC":
        return values.reshape(ready.height, ready.width, ready.channels).transpose(2, 0, 1)
    return values.reshape(ready.channels, ready.height, ready.width)
