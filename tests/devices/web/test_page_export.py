"""`export --target web`: the folder's page measures by itself, on any web server."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from browser import Browser
from small_networks import Residual, model_of

from edgekit.artifact import load_artifact
from edgekit.devices.web import runtimes
from edgekit.errors import InputError, MissingError
from edgekit.pipeline.web_folder import export_page

pytestmark = [pytest.mark.chromium, pytest.mark.web]
STATUS = "document.getElementById('status').textContent"


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Tests print nothing."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("export") / "page"
    export_page("residual", lambda: model_of(Residual), target="web", out=out)
    return out


@pytest.fixture
def url(folder: Path) -> Iterator[str]:
    """The folder on a server that sends no headers of its own."""
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


@pytest.fixture
def brisk(folder: Path) -> Iterator[None]:
    """A shorter protocol than the page has."""
    path = folder / "subject.json"
    whole = path.read_text()
    subject = json.loads(whole)
    subject["protocol"] |= {"blocks": 2, "warmup_seconds": 0.05, "min_seconds": 0.05, "min_samples": 30}
    path.write_text(json.dumps(subject))
    yield
    path.write_text(whole)


def test_the_page_measures_by_itself(url: str, folder: Path, phone: Browser, brisk: None) -> None:
    phone.visit(url)
    phone.wait(f"{STATUS} === 'Ready.' && !document.getElementById('shown').hidden")
    assert phone.evaluate("crossOriginIsolated")  # by its service worker: the server sends no such headers
    phone.evaluate("document.getElementById('start').click(), 0")
    phone.wait(f"{STATUS} === 'Done.'")
    saved = phone.evaluate("fetch(document.getElementById('save').href).then(answer => answer.json())")
    assert [len(block["samples_ns"]) >= 30 for block in saved["blocks"]] == [True, True]
    assert saved["sha256"] == load_artifact(folder).sha256
    assert saved["known_answers"]["largest_difference"] <= saved["known_answers"]["tolerance"]
    assert list(saved["app_path_ns"]) == ["decode", "resize_and_normalise", "infer"]
    assert "off by" in phone.text()
    assert [request for request in phone.requests() if not request.startswith((url, "data:", "blob:"))] == []
    assert phone.evaluate("document.documentElement.scrollWidth") == 360


def test_wrong_answers_are_not_measured(url: str, folder: Path, phone: Browser, brisk: None) -> None:
    path = folder / "known" / "output-1.f32"
    whole = path.read_bytes()
    path.write_bytes((np.frombuffer(whole, dtype="<f4") + np.float32(1)).tobytes())
    try:
        phone.visit(url)
        phone.wait(f"{STATUS} === 'Ready.'")
        phone.evaluate("document.getElementById('start').click(), 0")
        phone.wait(
            "document.getElementById('alarm').textContent.includes('the answers of this browser are off by')"
        )
        assert phone.evaluate("document.getElementById('result').hidden")
    finally:
        path.write_bytes(whole)


def test_the_folder_is_an_artifact_and_holds_all_that_its_page_names(folder: Path) -> None:
    subject = json.loads((folder / "subject.json").read_text())
    assert not subject["live"]
    for name in (*subject["page_files"], *subject["known_files"], subject["model_file"]):
        assert (folder / name).is_file()
    assert (folder / "runtime/litert/wasm/litert_wasm_internal.wasm").stat().st_size > 1_000_000
    load_artifact(folder).verify()


def test_another_folder_is_not_overwritten(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="exists already"):
        export_page("residual", lambda: model_of(Residual), target="web", out=folder)


def test_without_the_runtimes_nothing_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(runtimes, "MODULES", tmp_path / "node_modules")
    with pytest.raises(MissingError, match="a browser needs onnxruntime-web") as missing:
        export_page("residual", lambda: model_of(Residual), target="web", out=tmp_path / "out")
    assert missing.value.hint.startswith("npm ci --ignore-scripts")
    assert not (tmp_path / "out").exists()
