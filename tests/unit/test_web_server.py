"""The server of a page and the desk behind it, without a browser."""

from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from edgekit.bench.steadiness import changes
from edgekit.devices.web import desk as desks
from edgekit.devices.web import server
from edgekit.devices.web.address import Address
from edgekit.devices.web.desk import Desk
from edgekit.devices.web.messages import Part, Reply, array_of, cleaned
from edgekit.errors import MissingError
from edgekit.measurement import DeviceState

ONE, OTHER = "a" * 32, "b" * 32
FILES: dict[str, bytes | Path] = {"index.html": b"<h1>here</h1>", "ort.wasm": b"\0asm"}


def reply(number: int, client: str = ONE) -> Reply:
    return Reply(client=client, number=number, facts={})


class Client:
    """A browser's requests by hand."""

    def __init__(self, link: str) -> None:
        _, _, self.host, self.token, _ = link.split("/")
        self.connection = http.client.HTTPConnection(self.host, timeout=20)

    def get(self, path: str, **headers: str) -> http.client.HTTPResponse:
        return self._ask("GET", path, None, headers)

    def post(self, name: str, body: object, **headers: str) -> tuple[int, Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode()
        answer = self._ask("POST", f"/{self.token}/api/{name}", content, headers)
        text = answer.read()
        return answer.status, json.loads(text) if answer.status == 200 else text.decode()

    def _ask(
        self, method: str, path: str, body: bytes | None, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        self.connection.request(method, path, body, headers)
        return self.connection.getresponse()


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def client(desk: Desk, tmp_path: Path) -> Iterator[Client]:
    with server.serving(FILES, desk, Address(), tmp_path) as link:
        made = Client(link)
        yield made
        made.connection.close()


def test_files_come_with_the_headers_that_isolate_a_page(client: Client) -> None:
    answer = client.get(f"/{client.token}/")
    assert (answer.status, answer.read()) == (200, b"<h1>here</h1>")
    assert answer.headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert answer.headers["Cross-Origin-Embedder-Policy"] == "require-corp"
    assert answer.headers["Cache-Control"] == "no-store"
    assert "default-src 'self'" in answer.headers["Content-Security-Policy"]
    wasm = client.get(f"/{client.token}/ort.wasm")
    assert (wasm.read(), wasm.headers["Content-Type"]) == (b"\0asm", "application/wasm")


def test_a_token_cannot_be_guessed_and_is_new_each_time(desk: Desk, tmp_path: Path) -> None:
    tokens = set()
    for _ in range(3):
        with server.serving(FILES, desk, Address(), tmp_path) as link:
            tokens.add(link.split("/")[3])
    assert len(tokens) == 3
    assert all(len(token) >= 22 for token in tokens)  # 16 bytes in base64


@pytest.mark.parametrize("path", ["/", "/index.html", "/wrong/", "/wrong/index.html", "//index.html"])
def test_without_the_token_nothing_is_answered(client: Client, desk: Desk, path: str) -> None:
    answer = client.get(path)
    assert answer.status == 403
    assert b"This link is not the one" in answer.read()
    assert desk.strangers == 1


@pytest.mark.parametrize(
    "name", ["/../index.html", "/%2e%2e/index.html", "/api/file/../index.html", "/etc/passwd", ""]
)
def test_only_its_own_files_are_served(client: Client, name: str) -> None:
    answer = client.get(f"/{client.token}{name}")
    assert answer.status == 404


def test_a_request_under_another_name_is_refused(client: Client) -> None:
    """A page elsewhere whose name was led to this machine must not read the model."""
    answer = client.get(f"/{client.token}/", Host="elsewhere.example")
    assert answer.status == 421


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no json",
        b"[]",
        {"client": ONE},
        {"client": "../x", "facts": {}},
        {"client": ONE, "facts": {"a": 1}},
    ],
)
def test_what_is_no_message_is_refused(client: Client, body: object) -> None:
    assert client.post("hello", body)[0] == 400


def test_a_body_that_is_too_large_is_not_read(client: Client) -> None:
    assert client.post("answer", b"", **{"Content-Length": str(server.LARGEST_BODY + 1)})[0] == 413


def test_a_question_and_its_answer(client: Client, desk: Desk) -> None:
    assert client.post("hello", {"client": ONE, "facts": {"browser": "by\x1b[31mhand"}}) == (200, {})
    assert desk.facts == {"browser": "by [31mhand"}
    desk.wait(1)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(desk.ask, {"do": "run"}, {"model-0": b"bytes"}, 20)
        status, question = client.post("next", {"client": ONE, "seen": 0})
        assert (status, question) == (200, {"number": 1, "do": "run"})
        assert client.get(f"/{client.token}/api/file/model-0").read() == b"bytes"
        assert client.post("next", {"client": ONE, "seen": 0})[1] == question  # its way was cut: given again
        part = {"samples_ns": [1, 2], "outputs": "AACAPw==", "shape": [1, 1]}
        client.post("answer", {"client": ONE, "number": 1, "facts": {}, "parts": [part]})
        found = asked.result(20)
    assert found is not None
    assert found.parts[0].samples_ns == (1, 2)
    outputs = array_of(found.parts[0])
    assert outputs is not None
    assert outputs.tolist() == [[1.0]]
    assert client.get(f"/{client.token}/api/file/model-0").status == 404


def test_a_second_page_is_refused(client: Client, desk: Desk) -> None:
    assert client.post("hello", {"client": ONE, "facts": {}})[0] == 200
    assert client.post("hello", {"client": OTHER, "facts": {}})[0] == 409
    assert client.post("alive", {"client": OTHER})[0] == 409
    assert client.post("hello", {"client": ONE, "facts": {}})[0] == 200  # loaded anew
    assert desk.refused == 1


def test_a_server_that_ended_answers_nobody(desk: Desk, tmp_path: Path) -> None:
    with server.serving(FILES, desk, Address(), tmp_path) as link:
        client = Client(link)
        assert client.get(f"/{client.token}/").read()
    with pytest.raises((http.client.HTTPException, OSError)):  # on the connection that was open
        client.get(f"/{client.token}/").read()


def test_an_address_that_is_taken_is_an_error(desk: Desk, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(MissingError, match=f"cannot serve on 127.0.0.1:{port}"),
            server.serving(FILES, desk, Address(port=port), tmp_path),
        ):
            pass


def test_before_it_has_begun_another_page_may_take_the_place_of_one_that_was_closed() -> None:
    desk = Desk()
    assert desk.hello(ONE, {})
    desk.bye(ONE)
    assert desk.hello(OTHER, {})


def test_once_it_has_begun_no_other_page_may() -> None:
    """Half of the samples would be another device's."""
    desk = Desk()
    desk.hello(ONE, {})
    work = threading.Thread(
        target=lambda: desk.answer(ONE, getattr(desk.next(ONE, 0), "number", 0), reply(1))
    )
    work.start()
    assert desk.ask({"do": "run"}, {}, 10) is not None
    work.join()
    desk.bye(ONE)
    assert not desk.hello(OTHER, {})
    with pytest.raises(MissingError, match="the page was closed"):
        desk.ask({"do": "run"}, {}, 10)


def test_answers_that_nobody_waits_for_are_dropped() -> None:
    desk = Desk()
    desk.hello(ONE, {})
    desk.answer(ONE, 7, reply(7))
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(desk.ask, {}, {}, 10)
        assert desk.next(ONE, 0) is not None
        desk.answer(OTHER, 1, reply(1, OTHER))
        desk.answer(ONE, 0, reply(0))
        assert not asked.done()
        desk.answer(ONE, 1, reply(1))
        assert asked.result(10) == reply(1)


def test_a_page_that_says_nothing_is_missed_and_a_slow_one_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(desks, "LOST_S", 0.3)
    monkeypatch.setattr(desks, "CHECK_S", 0.05)
    desk = Desk()
    desk.hello(ONE, {})
    with pytest.raises(MissingError, match=r"nothing was heard of the page for 0\.3 s"):
        desk.ask({}, {}, 10)
    monkeypatch.setattr(desks, "LOST_S", 60)
    assert desk.ask({}, {}, 0.2) is None


@pytest.mark.parametrize(
    "part", [{"outputs": "?"}, {"outputs": "AACAPw==", "shape": [2]}, {"outputs": "AAA="}]
)
def test_outputs_that_are_none(part: dict[str, Any]) -> None:
    assert array_of(Part.model_validate(part)) is None


def test_what_a_browser_calls_itself_is_one_printable_line() -> None:
    assert cleaned({"browser": "\x1b]0;x\x07Evil\nOne" + "y" * 999})["browser"].startswith("]0;x Evil One")
    assert len(cleaned({"browser": "y" * 999})["browser"]) <= 300


def test_a_page_that_was_hidden_was_not_measured() -> None:
    seen, hidden = (DeviceState(facts={"page_hidden": count}) for count in ("0", "1"))
    assert changes((seen, seen)) == ""
    assert changes((seen, hidden)) == "page_hidden went from 0 to 1"
