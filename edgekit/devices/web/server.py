"""The server of one page: its files under a secret path, and its talk with the desk; nothing else is answered."""

from __future__ import annotations

import hmac
import json
import secrets
import socket
import ssl
import threading
from collections.abc import Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from edgekit.devices.web import messages
from edgekit.devices.web.page_files import content_type, refusal
from edgekit.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.devices.web.address import Address
    from edgekit.devices.web.desk import Desk

LARGEST_BODY = 256 * 1024 * 1024
HEADERS = {
    # Threads need shared memory, which browsers give to isolated pages alone.
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'self'; script-src 'self' 'wasm-unsafe-eval'; "
    "worker-src 'self' blob:; img-src 'self' blob: data:; media-src 'self' blob:; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


@dataclass(frozen=True)
class Served:
    """What a server gives to whom."""

    files: Mapping[str, bytes | Path]
    """By the path behind the token; `index.html` is also the folder's."""
    desk: Desk
    hosts: frozenset[str]
    """What a request may call this server: a page of elsewhere that was led here by its name service is refused."""
    token: str = field(default_factory=lambda: secrets.token_urlsafe(16))


@contextmanager
def serving(files: Mapping[str, bytes | Path], desk: Desk, address: Address, folder: Path) -> Iterator[str]:
    """Serve on an address and give the link; raises `MissingError` where the address cannot be had."""
    try:
        server = _Server((address.host, address.port), _Handler, address.host)
    except (OSError, OverflowError) as error:
        raise MissingError(
            f"cannot serve on {address.host}:{address.port}: {error}",
            hint="give an address of this machine, and a port above 1023 that nobody uses",
        ) from error
    with server:
        host, port = _bracketed(address.host), server.server_address[1]
        hosts = {f"{host}:{port}", host} | ({f"localhost:{port}"} if address.loopback else set())
        server.served = Served(files, desk, frozenset(hosts))
        scheme = "http"
        if address.https:
            from edgekit.devices.web.certificate import context

            server.socket = context(address.host, folder).wrap_socket(
                server.socket, server_side=True, do_handshake_on_connect=False
            )
            scheme = "https"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True)
        thread.start()
        try:
            yield f"{scheme}://{host}:{port}/{server.served.token}/"
        finally:
            server.shutdown()
            thread.join()
            server.hang_up()


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False  # a page that keeps its connection open does not keep the command
    served: Served

    def __init__(self, place: tuple[str, int], handler: type[BaseHTTPRequestHandler], host: str) -> None:
        if ":" in host:
            self.address_family = socket.AF_INET6
        self._open: set[socket.socket] = set()
        super().__init__(place, handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Keep in mind who is connected."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """A connection that ended."""
        self._open.discard(request)
        super().shutdown_request(request)

    def hang_up(self) -> None:
        """End what is still connected: browsers keep connections open, and would be answered for as long."""
        for connection in tuple(self._open):
            with suppress(OSError):  # it has just ended by itself
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that breaks is the page's affair: the desk notices where it does not come again."""


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    protocol_version = "HTTP/1.1"
    timeout = 60
    server_version, sys_version = "edgekit", ""
    posts: ClassVar[Mapping[str, str]] = {
        name: f"_{name}" for name in ("hello", "next", "answer", "alive", "bye")
    }

    def setup(self) -> None:
        """A handshake takes place here, in the connection's own thread."""
        self.request.settimeout(self.timeout)
        if isinstance(self.request, ssl.SSLSocket):
            self.request.do_handshake()
        super().setup()

    @cached_property
    def _served(self) -> Served:
        return self.server.served

    def do_GET(self) -> None:
        """A file of the page, or of what it is asked."""
        if (name := self._name()) is None:
            return
        asked = name.removeprefix("api/file/")
        found = (
            self._served.desk.file(asked) if asked != name else self._served.files.get(name or "index.html")
        )
        if found is None:
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            self._send(HTTPStatus.OK, found, content_type(name or "index.html"))

    def do_POST(self) -> None:
        """What the page says."""
        name, body = self._name(), self._body()
        if name is None or body is None:
            return
        handler = self.posts.get(name.removeprefix("api/"))
        if handler is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        getattr(self, handler)(body)

    def _hello(self, body: bytes) -> None:
        if said := self._read(messages.Hello, body):
            welcome = self._served.desk.hello(said.client, messages.cleaned(said.facts))
            self._json({}, HTTPStatus.OK if welcome else HTTPStatus.CONFLICT)

    def _next(self, body: bytes) -> None:
        if not (said := self._read(messages.Sign, body)):
            return
        question = self._served.desk.next(said.client, said.seen)
        self._json({"number": question.number, **question.message} if question else {})

    def _answer(self, body: bytes) -> None:
        if said := self._read(messages.Reply, body):
            self._served.desk.answer(said.client, said.number, said)
            self._json({})

    def _alive(self, body: bytes) -> None:
        if said := self._read(messages.Sign, body):
            there = self._served.desk.alive(said.client)
            self._json({}, HTTPStatus.OK if there else HTTPStatus.CONFLICT)

    def _bye(self, body: bytes) -> None:
        if said := self._read(messages.Sign, body):
            self._served.desk.bye(said.client)
            self._json({})

    def _read(self, kind: type[Any], body: bytes) -> Any:
        said = messages.read(kind, body)
        if said is None:
            self._refuse(HTTPStatus.BAD_REQUEST)
        return said

    def _name(self) -> str | None:
        """The path behind the token; None where the request was refused."""
        token, _, name = self.path.partition("?")[0].lstrip("/").partition("/")
        if self.headers.get("Host", "") not in self._served.hosts:
            self._refuse(HTTPStatus.MISDIRECTED_REQUEST)
        elif not hmac.compare_digest(token.encode(), self._served.token.encode()):
            self._served.desk.strangers += self.path != "/favicon.ico"
            self._refuse(HTTPStatus.FORBIDDEN)
        elif not name and not self.path.partition("?")[0].endswith("/"):
            self._refuse(HTTPStatus.NOT_FOUND)
        else:
            return name
        return None

    def _body(self) -> bytes | None:
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdigit() or int(length) > LARGEST_BODY:
            self._refuse(HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
            return None
        return self.rfile.read(int(length))

    def _json(self, document: Mapping[str, Any], status: HTTPStatus = HTTPStatus.OK) -> None:
        self._send(status, json.dumps(document).encode(), "application/json")

    def _refuse(self, status: HTTPStatus) -> None:
        self.close_connection = True
        self._send(status, refusal(status), "text/html; charset=utf-8")

    def _send(self, status: HTTPStatus, content: bytes | Path, kind: str) -> None:
        size = len(content) if isinstance(content, bytes) else content.stat().st_size
        self.send_response(status)
        headers = {**HEADERS, "Content-Type": kind, "Content-Length": str(size)}
        if "/runtime/" in self.path and status == HTTPStatus.OK:
            headers["Cache-Control"] = "private, max-age=3600"  # each worker loads it, and it is large
        if self.close_connection:
            headers["Connection"] = "close"
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        if isinstance(content, bytes):
            self.wfile.write(content)
            return
        with content.open("rb") as stream:
            for block in iter(lambda: stream.read(1 << 20), b""):
                self.wfile.write(block)

    def log_message(self, *_: object) -> None:
        """A log would mix with the command's own lines."""
