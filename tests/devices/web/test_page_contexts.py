"""What a page has and lacks by how it is reached: loopback, https with the run's certificate, plain http."""

from __future__ import annotations

import re
import socketserver
import ssl
from collections.abc import Iterator
from http.server import HTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest
from browser import SOFTWARE_GPU, Browser
from page_visit import job_of, on_page, visiting

from edgekit.artifact import ArtifactFolder
from edgekit.devices import Answer
from edgekit.devices.web.address import Address
from edgekit.devices.web.device import Web

pytestmark = [pytest.mark.chromium, pytest.mark.web]
NAME = "phone.test"
"""Leads to this machine, but is no loopback address to a browser."""
FLAGS = ("--ignore-certificate-errors", f"--host-resolver-rules=MAP {NAME} 127.0.0.1")


@pytest.fixture(scope="module")
def lenient(chromium: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A browser whose user has accepted the certificate."""
    started = Browser(chromium, tmp_path_factory.mktemp("chromium"), *FLAGS)
    yield started
    started.close()


@pytest.fixture
def named(monkeypatch: pytest.MonkeyPatch) -> None:
    """A server binds the name as it binds a network's address, but on this machine."""

    def bind(server: HTTPServer) -> None:
        server.server_address = ("127.0.0.1", 0)
        socketserver.TCPServer.server_bind(server)

    monkeypatch.setattr(HTTPServer, "server_bind", bind)


def test_plain_http_says_what_is_missing_and_measures_without(
    onnx_int8: ArtifactFolder, lenient: Browser, named: None
) -> None:
    inputs, _ = onnx_int8.parity()

    def work(device: Web) -> None:
        lenient.wait(
            "document.getElementById('missing').innerText.startsWith('Plain http is no secure context')"
        )
        facts = device.state().facts
        assert facts["secure_context"] == "no"
        assert facts["isolated"] == "no: plain http is no secure context"
        limits = {"warmup_seconds": 1.0, "min_seconds": 0.1, "max_seconds": 2.0, "min_samples": 10}
        answer = device.call(job_of(onnx_int8.model_path, limits=limits), inputs[:1])
        assert isinstance(answer, Answer)
        assert answer.values["threads"] == 1
        # Its clock moves in tenths of a millisecond, and an inference takes less.
        grouped = re.fullmatch(
            r"the mean of (\d+) inferences: .*", answer.values["executed"]["details"]["sample"]
        )
        assert grouped is not None
        assert int(grouped[1]) > 1
        assert answer.values["clock_ns"] <= 0.05 * np.median(answer.values["samples_ns"])
        assert lenient.evaluate("document.getElementById('pictures').hidden || !navigator.mediaDevices")

    on_page(lenient, onnx_int8, work, Address(host=NAME, wait_s=60))


def test_what_is_not_kept_offline_shows_pictures_as_long_as_it_is_open(
    onnx_int8: ArtifactFolder, lenient: Browser, named: None
) -> None:
    answers = "document.querySelectorAll('#answer li').length"
    with visiting(onnx_int8, f"web://{NAME}?wait=60") as visit:
        lenient.fresh()
        lenient.visit(visit.link)
        visit.result()  # the server is gone
        lenient.wait("document.getElementById('status').textContent.startsWith('Done')")
        assert lenient.wait(answers) == 5
        lenient.evaluate("document.getElementById('answer').replaceChildren(), 0")
        lenient.evaluate("document.getElementById('known').click(), 0")
        assert lenient.wait(answers) == 5
        assert lenient.evaluate("document.getElementById('alarm').textContent") == ""


def test_https_isolates_the_page_under_the_certificate_that_was_shown(
    onnx_int8: ArtifactFolder, lenient: Browser
) -> None:
    with visiting(onnx_int8, "web://127.0.0.1?https=1&wait=60") as visit:
        link = urlsplit(visit.link)
        assert link.scheme == "https"
        assert link.port is not None
        shown = re.search(r"(?:[0-9A-F]{2}:){31}[0-9A-F]{2}", visit.invitation)
        assert shown is not None
        import hashlib

        der = ssl.PEM_cert_to_DER_cert(ssl.get_server_certificate(("127.0.0.1", link.port)))
        assert hashlib.sha256(der).digest().hex(":").upper() == shown[0]
        lenient.fresh()
        lenient.visit(visit.link)
        latency = visit.result().latency
    assert latency is not None
    assert latency.before.facts["isolated"] == "yes"
    assert latency.threads == 2


def test_webgpu_answers_as_the_runtime_here(
    onnx_float: ArtifactFolder, chromium: str, tmp_path: Path
) -> None:
    inputs, expected = onnx_float.parity()
    with_gpu = Browser(chromium, tmp_path, *SOFTWARE_GPU)

    def work(device: Web) -> None:
        assert device.state().facts["webgpu"].startswith("yes")
        answer = device.call(job_of(onnx_float.model_path, "predict"), inputs[:2])
        assert isinstance(answer, Answer)
        assert answer.outputs is not None
        assert answer.values["version"].endswith("on WebGPU")
        assert np.max(np.abs(answer.outputs - expected[:2])) < 1e-3 * np.ptp(expected)

    on_page(with_gpu, onnx_float, work, Address(backend="webgpu", wait_s=60))
    with_gpu.close()
