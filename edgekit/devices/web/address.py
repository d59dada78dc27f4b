"""`web`, `web://HOST:PORT` and their options: where the page is served, and how long somebody may take to open it."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Literal, get_args
from urllib.parse import parse_qs, urlsplit

from edgekit.errors import InputError

Backend = Literal["wasm", "webgpu"]
LOOPBACK = "127.0.0.1"
USAGE = "web, or web://HOST:PORT?https=1&backend=wasm&wait=300 (all but HOST may be left out)"


@dataclass(frozen=True)
class Address:
    """Where the page is served."""

    host: str = LOOPBACK
    port: int = 0
    """0: one that is free."""
    https: bool = False
    """With a certificate made for the run."""
    backend: Backend = "wasm"
    wait_s: float = 300
    """How long the link may stay unopened."""

    @property
    def loopback(self) -> bool:
        """Whether only this machine reaches it, which browsers count as secure without https."""
        return _is_loopback(self.host)


def read_address(uri: str) -> Address:
    """Read a URI; raises `InputError` that says what in it cannot be."""
    parts = urlsplit("web://" if uri == "web" else uri)
    given = parse_qs(parts.query, keep_blank_values=True)
    unknown = sorted(given.keys() - {"https", "backend", "wait"})
    try:
        host, port = parts.hostname or LOOPBACK, parts.port or 0
    except ValueError as error:
        raise _bad(uri, str(error)) from error
    if unknown or parts.path.strip("/") or parts.fragment or parts.username is not None:
        raise _bad(uri, f"it has no {', '.join(unknown) or 'user, path or fragment'}")
    if host in ("0.0.0.0", "::"):  # noqa: S104  refused: it is no address that a phone can open
        raise InputError(
            f"{uri}: {host} is every address of this machine, and none that a link can hold",
            hint="give the one that the phone reaches (`ip address` lists them)",
        )
    backend = given.get("backend", ["wasm"])[-1]
    if backend not in get_args(Backend):
        raise _bad(uri, f"backend is one of {', '.join(get_args(Backend))}")
    secure = given.get("https", ["0"])[-1]
    if secure not in ("0", "1"):
        raise _bad(uri, "https is 0 or 1")
    return Address(host, port, secure == "1", "webgpu" if backend == "webgpu" else "wasm", _wait(uri, given))


def _wait(uri: str, given: dict[str, list[str]]) -> float:
    text = given.get("wait", [f"{Address.wait_s}"])[-1]
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if not 1 <= seconds <= 86400:
        raise _bad(uri, "wait is a number of seconds from 1 to 86400")
    return seconds


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _bad(uri: str, why: str) -> InputError:
    return InputError(f"{uri!r} is no address for a page: {why}", hint=USAGE)
