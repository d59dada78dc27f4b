"""A phone that the real `adb` client reaches: an adbd of the tests' own, and an adb server that ends with them."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from adbd import Adbd, State
from phone import PhoneFolder, scripted_tool
from phone_jobs import Connect

from edgekit.devices import adb, counting


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        return int(found.getsockname()[1])


@pytest.fixture(scope="session")
def adb_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of adb's clients; keys and log lie in a folder of the tests'."""
    folder = tmp_path_factory.mktemp("adb")
    environment = {"ANDROID_ADB_SERVER_PORT": str(free_port()), "HOME": str(folder), "TMPDIR": str(folder)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment.items():
            patch.setenv(name, value)
        subprocess.run(["adb", "start-server"], check=True, capture_output=True, timeout=60)
        try:
            yield environment
        finally:
            subprocess.run(["adb", "kill-server"], check=True, capture_output=True, timeout=60)


@pytest.fixture
def connect(adb_server: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Connect]:
    """Connect a phone's folder; gives its serial number."""
    for name, value in adb_server.items():
        monkeypatch.setenv(name, value)
    running: list[Adbd] = []

    def connected(phone: PhoneFolder, state: State = "device") -> str:
        daemon = Adbd(phone, state)
        running.append(daemon)
        subprocess.run(["adb", "connect", daemon.serial], check=True, capture_output=True, timeout=60)
        return daemon.serial

    yield connected
    for daemon in running:
        adb._session(daemon.serial).close()
        subprocess.run(["adb", "disconnect", daemon.serial], check=False, capture_output=True, timeout=60)
        daemon.close()
        daemon.phone.end()


@pytest.fixture
def phone(tmp_path: Path) -> PhoneFolder:
    """With a v1 tool in its usual place."""
    found = PhoneFolder(tmp_path / "phone")
    found.install_tool("v1")
    return found


@pytest.fixture
def quick(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> PhoneFolder:
    """A phone whose tool runs nothing, and files whose operators need not be counted."""
    found = PhoneFolder(tmp_path / "phone")
    found.install(scripted_tool())
    counts = {"operators": {}, "integer_operators": 0, "float_operators": 0, "float_precision": "f32"}
    monkeypatch.setattr(counting, "count", lambda *_: counts)
    return found
