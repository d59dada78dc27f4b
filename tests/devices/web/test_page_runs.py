"""The page in a real browser, at a phone's size: it measures, answers as the runtimes here do, and shows pictures."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import Browser
from page_visit import Visit, visiting

from edgekit.artifact import ArtifactFolder
from edgekit.bench import predict
from edgekit.bundle.picture import drawn, preprocessed
from edgekit.devices import open_device
from edgekit.pipeline.profiling import CostProfile

pytestmark = [pytest.mark.chromium, pytest.mark.web]
DONE = "document.getElementById('status').textContent.startsWith('Done')"
SHOWN = "!document.getElementById('shown').hidden"
ANSWERS = "Array.from(document.querySelectorAll('#answer li'), item => item.innerText.split('\\n'))"
BLOCKS, LEAST = 2, 30
"""Of the brief protocol in conftest.py."""


@pytest.fixture(scope="module", params=["onnx_int8", "tflite_int8"])
def artifact(request: pytest.FixtureRequest) -> ArtifactFolder:
    found: ArtifactFolder = request.getfixturevalue(request.param)
    return found


def measured(phone: Browser, artifact: ArtifactFolder) -> tuple[CostProfile, str]:
    """A whole profile, whose page is left open with its picture shown."""
    with visiting(artifact) as visit:
        link = visit.link
        phone.visit(link)
        found = visit.result()
        phone.wait(f"{DONE} && {SHOWN}")
    return found, link


def test_samples_arrive_and_the_answers_are_the_runtime_s(phone: Browser, artifact: ArtifactFolder) -> None:
    found, link = measured(phone, artifact)
    latency, known = found.latency, found.known_answers
    assert latency is not None
    assert known is not None
    assert latency.device.startswith("web (headless Chrome")
    assert latency.source == "measured"
    assert len(latency.blocks_ns) == len(latency.load_ns) == len(latency.warmup_ns) == BLOCKS
    assert all(len(block) >= LEAST and min(block) > 0 for block in latency.blocks_ns)
    assert latency.threads == 2
    assert latency.clock_ns > 0
    assert "Chrome" in latency.before.facts["user_agent"]
    assert latency.before.facts["cores"].isdigit()
    assert latency.before.facts["isolated"] == "yes"
    assert "battery" in latency.after.facts
    weighted = latency.executed.integer_operators + latency.executed.float_operators
    assert weighted
    assert latency.executed.integer_operators == weighted
    assert known.inputs == 4
    assert 0 <= known.largest_difference <= known.tolerance
    assert 0 < known.tolerance < np.ptp(artifact.parity()[1])
    assert f"{latency.p50_ms:.3g} ms" in phone.text()
    assert found.app_path is not None
    assert list(found.app_path.stages_ms) == ["decode", "resize_and_normalise", "infer"]
    assert all(stage > 0 for stage in found.app_path.stages_ms.values())
    # Of 1280×960 pixels each is read: that takes longer than this small network.
    assert found.app_path.stages_ms["resize_and_normalise"] > latency.p50_ms
    strangers = [url for url in phone.requests() if not url.startswith((link, "data:", "blob:"))]
    assert strangers == []
    # This machine has no GPU, which browser and LiteRT.js complain of.
    assert [line for line in phone.complaints() if "adapter" not in line] == []
    assert phone.evaluate("document.documentElement.scrollWidth") == 360


def test_the_known_picture_is_classified_as_the_runtime_here_classifies_it(
    phone: Browser, artifact: ArtifactFolder
) -> None:
    measured(phone, artifact)
    ready = artifact.manifest.preprocessing
    runtime = {"onnx": "onnxruntime", "tflite": "litert"}[artifact.manifest.format]
    logits = predict(artifact, runtime, preprocessed(drawn(ready), ready), open_device("local"))[0]
    assert_answers(phone.evaluate(ANSWERS), logits, tolerance=0.02)


def assert_answers(shown: list[list[str]], logits: np.ndarray[Any, Any], *, tolerance: float) -> None:
    """The page's list is the softmax of these logits, the likeliest first."""
    shares = np.exp(logits - logits.max()) / np.exp(logits - logits.max()).sum()
    read = [float(share.removesuffix(" %")) / 100 for _, share in shown]
    assert read == sorted(read, reverse=True)
    assert len(read) == 5
    for name, share in zip((name for name, _ in shown), read, strict=True):
        assert math.isclose(share, shares[int(name.removeprefix("class "))], abs_tol=tolerance)


def test_a_chosen_photo_and_the_camera_are_classified(
    phone: Browser, onnx_int8: ArtifactFolder, tmp_path: Path
) -> None:
    from PIL import Image

    measured(phone, onnx_int8)
    photo = tmp_path / "photo.png"
    noise = np.random.default_rng(3).integers(0, 256, (57, 91, 3), dtype=np.uint8)
    Image.fromarray(noise).save(photo)
    phone.evaluate("document.getElementById('answer').replaceChildren(), 0")
    phone.choose("#photo", photo)
    phone.wait(f"{ANSWERS}.length")
    ready = onnx_int8.manifest.preprocessing
    logits = predict(onnx_int8, "onnxruntime", preprocessed(photo.read_bytes(), ready), open_device("local"))[
        0
    ]
    assert_answers(phone.evaluate(ANSWERS), logits, tolerance=0.02)
    assert phone.evaluate("[canvas.width, canvas.height]") == [91, 57]
    phone.evaluate("document.getElementById('camera').click(), 0")
    phone.wait("!document.getElementById('shoot').hidden")
    phone.wait("document.getElementById('video').videoWidth")
    phone.evaluate("document.getElementById('answer').replaceChildren(), 0")
    phone.evaluate("document.getElementById('shoot').click(), 0")
    phone.wait(f"{ANSWERS}.length === 5")
    assert phone.evaluate("canvas.width === video.videoWidth")
    assert phone.evaluate("document.getElementById('alarm').textContent") == ""


def test_keyboard_and_screen_reader_find_all(phone: Browser, onnx_int8: ArtifactFolder) -> None:
    measured(phone, onnx_int8)
    reached = []
    for _ in range(3):
        phone.press("Tab", 9)
        reached.append(phone.evaluate("document.activeElement.id"))
    assert reached == ["known", "photo", "camera"]
    tree = phone.call("Accessibility.getFullAXTree")["nodes"]
    named = {(node["role"]["value"], node["name"]["value"]) for node in tree if "name" in node}
    assert {("button", "Known picture"), ("button", "Use the camera"), ("heading", "Pictures")} <= named
    assert any(
        role == "image" and name.startswith("The picture, which the network calls") for role, name in named
    )
    assert {node["role"]["value"] for node in tree} >= {"status", "main", "list", "listitem"}
    assert phone.evaluate("document.getElementById('answer').getAttribute('aria-live')") == "polite"
    assert (
        phone.evaluate(
            "Math.min(...Array.from(document.querySelectorAll('button:not([hidden]), label'),"
            " part => part.getBoundingClientRect().height))"
        )
        >= 44
    )


def test_the_page_works_offline_once_loaded(phone: Browser, onnx_int8: ArtifactFolder) -> None:
    _, link = measured(phone, onnx_int8)  # its server is gone now
    before = phone.evaluate(ANSWERS)
    phone.visit(link)
    phone.wait(f"{SHOWN} && {ANSWERS}.length")
    assert phone.evaluate(ANSWERS) == before
    assert "edgekit has ended" in phone.text()


def test_a_file_alone_is_measured_and_shows_no_pictures(
    phone: Browser, onnx_int8: ArtifactFolder, tmp_path: Path
) -> None:
    alone = tmp_path / "alone.onnx"
    alone.write_bytes(onnx_int8.model_path.read_bytes())
    visit = Visit(alone, "web://127.0.0.1?wait=60", {"threads": 2})
    phone.visit(visit.link)
    found = visit.result()
    phone.wait(DONE)
    assert found.latency is not None
    assert len(found.latency.blocks_ns) == BLOCKS
    assert found.known_answers is not None
    assert found.known_answers.inputs == 3
    assert found.app_path is None
    assert phone.evaluate("document.getElementById('pictures').hidden")


def test_a_segmented_picture_has_a_colour_and_a_share_for_each_class(
    phone: Browser, segmenter: ArtifactFolder
) -> None:
    measured(phone, segmenter)
    ready = segmenter.manifest.preprocessing
    outputs = predict(segmenter, "onnxruntime", preprocessed(drawn(ready), ready), open_device("local"))[0]
    found = outputs.argmax(axis=0)
    names = phone.evaluate("Array.from(document.querySelectorAll('#answer .name'), part => part.textContent)")
    shares = phone.evaluate(
        "Array.from(document.querySelectorAll('#answer li'), part => part.lastChild.textContent)"
    )
    shown = dict(zip(names, shares, strict=True))
    assert len(np.unique(found)) > 1
    for index in np.unique(found):
        share = float(shown[segmenter.manifest.labels[index]].removesuffix(" %")) / 100
        assert math.isclose(share, float(np.mean(found == index)), abs_tol=0.02)
    assert phone.evaluate("document.querySelectorAll('#answer .swatch').length") == len(shown)
