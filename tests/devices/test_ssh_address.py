"""Addresses of devices over ssh, as users write them, and the files that lie on a device."""

from __future__ import annotations

import ast
import hashlib
import os
from pathlib import Path

import pytest

from edgekit.devices import child, ssh_session
from edgekit.devices.ssh_address import Address, parse
from edgekit.devices.ssh_errors import agent_failed
from edgekit.devices.store import Store
from edgekit.errors import InputError


@pytest.mark.parametrize(
    ("uri", "address"),
    [
        ("ssh://pi@10.0.0.7", Address("10.0.0.7", "pi")),
        ("ssh://board", Address("board")),
        ("ssh://pi@board:2222/", Address("board", "pi", 2222)),
        ("ssh://[fe80::1%eth0]:22", Address("[fe80::1%eth0]", "", 22)),
        ("ssh://a%20b@board", Address("board", "a b")),
        ("ssh://first@realm@board", Address("board", "first@realm")),
        ("ssh://board?python=/my%20venv/bin/python", Address("board", python="/my venv/bin/python")),
    ],
)
def test_addresses(uri: str, address: Address) -> None:
    assert parse(uri) == address


@pytest.mark.parametrize(
    ("uri", "what"),
    [
        ("ssh://pi@board:http", "the port 'http' is no number from 1 to 65535"),
        ("ssh://pi@board:70000", "the port '70000' is no number"),
        ("ssh://pi@board:", "the port '' is no number"),
        ("ssh://pi@board:²", "is no number"),
        ("ssh://", "names no host"),
        ("ssh://pi@", "names no host"),
        ("ssh://pi@:22", "names no host"),
        ("ssh://-oProxyCommand=reboot", "no host that can be"),
        ("ssh://my board", "no host that can be"),
        ("ssh://$(reboot)", "no host that can be"),
        ("ssh://-l@board", "no user that can be"),
        ("ssh://@board", "no user that can be"),
        ("ssh://a%0Ab@board", "no user that can be"),
        ("ssh://board/home/pi", "is no address of a device"),
        ("ssh://board?pyhton=x", "'pyhton' is not understood"),
        ("ssh://board?python=", "'python' is not understood"),
    ],
)
def test_what_is_no_address(uri: str, what: str) -> None:
    with pytest.raises(InputError) as refusal:
        parse(uri)
    assert what in refusal.value.what
    assert "ssh://user@host" in refusal.value.hint
    assert refusal.value.exit_code == 2


def test_what_must_hold_stands_before_the_users_configuration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EDGEKIT_SSH_CONFIG", "/a config")
    words = parse("ssh://pi@board:2222").ssh("/tmp/c")
    assert words[:3] == ["ssh", "-F", "/a config"]
    assert "StrictHostKeyChecking=yes" in words
    assert words[-6:] == ["-l", "pi", "-p", "2222", "--", "board"]


def test_what_is_sent_needs_no_new_python() -> None:
    for name, source in ssh_session._sources():
        assert ast.parse(source, name, feature_version=(3, 9))
        assert "import numpy" not in source
        assert "from edgekit" not in source
    runner = Path(child.__file__).with_name("runner.py").read_text()
    assert ast.parse(runner, feature_version=(3, 9))


def stored(store: Store, folder: Path, content: bytes) -> str:
    digest = hashlib.sha256(content).hexdigest()
    (folder / digest).write_bytes(content)
    store.take_in(folder / digest)
    return digest


def test_a_store_keeps_what_was_used_last(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    digests = [stored(store, tmp_path, bytes([place]) * 100) for place in range(4)]
    for age, digest in enumerate(digests):
        os.utime(tmp_path / "store" / digest, (age, age))
    store.lend(digests[0], tmp_path / "lent")  # used now
    store.evict(limit_bytes=250)
    assert store.missing(digests) == digests[1:3]
    assert (tmp_path / "lent").read_bytes() == bytes(100)


def test_a_store_refuses_what_is_damaged_or_climbs(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    wrong = tmp_path / ("0" * 64)
    wrong.write_text("something else")
    with pytest.raises(ValueError, match="arrived damaged"):
        store.take_in(wrong)
    with pytest.raises(ValueError, match="is no SHA-256"):
        store.lend("../lock", tmp_path / "x")


@pytest.mark.parametrize(
    ("status", "told", "what"),
    [
        (255, "ssh: connect to host board port 22: No route to host\n", "ssh://pi@board cannot be reached"),
        (
            255,
            "ssh: connect to host board port 22: Connection timed out\n",
            "ssh://pi@board cannot be reached",
        ),
        (255, "ssh: Could not resolve hostname board: Name or service not known\n", "cannot be reached"),
        (255, "Timeout, server board not responding.\n", "was lost while running a job"),
        (
            255,
            "Unable to negotiate with board: no matching host key type found.\n",
            "failed while running a job",
        ),
        (255, "", "edgekit's process there ended while running a job"),
        (1, "MemoryError\n", "edgekit's process there ended while running a job: MemoryError"),
        (127, "sh: 1: python3: not found\n", "has no python3"),
        (None, "", "does not answer while running a job"),
    ],
)
def test_what_ssh_says_becomes_an_error(status: int | None, told: str, what: str) -> None:
    error = agent_failed(Address("board", "pi"), status, told, "running a job")
    assert what in error.what
    assert error.exit_code == 3
    assert error.hint
