"""Where a page is served, and what is refused before anything is."""

from __future__ import annotations

from pathlib import Path

import pytest

from edgekit.devices import Job, open_device
from edgekit.devices.web import runtimes
from edgekit.devices.web.address import Address, read_address
from edgekit.devices.web.invitation import invitation, qr_code
from edgekit.errors import InputError, MissingError
from edgekit.runtimes import find


@pytest.mark.parametrize(
    ("uri", "expected"),
    [
        ("web", Address()),
        ("web://127.0.0.1:8000", Address(port=8000)),
        ("web://192.168.1.7:8000?https=1", Address("192.168.1.7", 8000, https=True)),
        ("web://[::1]:8000?backend=webgpu", Address("::1", 8000, backend="webgpu")),
        ("web://?wait=5", Address(wait_s=5)),
    ],
)
def test_addresses(uri: str, expected: Address) -> None:
    assert read_address(uri) == expected


@pytest.mark.parametrize(
    ("uri", "why"),
    [
        ("web://phone:port", "Port could not be cast"),
        ("web://phone:99999", "Port out of range"),
        ("web://phone/page", "it has no user, path or fragment"),
        ("web://me@phone", "it has no user, path or fragment"),
        ("web://phone?http=1", "it has no http"),
        ("web://phone?backend=cuda", "backend is one of wasm, webgpu"),
        ("web://phone?https=yes", "https is 0 or 1"),
        ("web://phone?wait=soon", "wait is a number of seconds"),
        ("web://phone?wait=0", "wait is a number of seconds"),
        ("web://phone?wait=nan", "wait is a number of seconds"),
        ("web://0.0.0.0:8000", "every address of this machine"),
    ],
)
def test_what_is_no_address_is_refused(uri: str, why: str) -> None:
    with pytest.raises(InputError, match=why):
        open_device(uri)


def test_only_loopback_is_secure_without_https() -> None:
    assert [read_address(f"web://{host}").loopback for host in ("127.0.0.1", "localhost", "[::1]")] == [
        True
    ] * 3
    assert not read_address("web://192.168.1.7").loopback


def test_without_the_runtimes_the_command_that_brings_them_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtimes, "MODULES", tmp_path)
    with pytest.raises(
        MissingError, match=r"a browser needs onnxruntime-web .*, and it is not installed"
    ) as missing:
        open_device("web")
    assert missing.value.hint.startswith("npm ci --ignore-scripts --no-audit --no-fund --prefix ")
    package = tmp_path / runtimes.ORT / "package.json"
    package.parent.mkdir()
    package.write_text('{"version": "1.2.3"}')
    with pytest.raises(MissingError, match=r"and version 1\.2\.3 is installed"):
        open_device("web")


@pytest.mark.web
def test_other_commands_say_which_one_shows_a_link() -> None:
    device = open_device("web")
    probe = Job("probe", find("onnxruntime").file)
    for use in (lambda: device.name, device.state, lambda: device.call(probe)):
        with pytest.raises(InputError, match="a browser is a device of `edgekit profile` alone"):
            use()


def test_what_browsers_do_not_run_is_refused() -> None:
    with pytest.raises(InputError, match="openvino does not run in a browser"):
        runtimes.engine_of("openvino")


def test_the_lock_file_holds_a_hash_of_each_package_and_no_address() -> None:
    text = (runtimes.HERE / "package-lock.json").read_text()
    assert '"resolved"' not in text
    import json

    packages = json.loads(text)["packages"]
    assert len(packages) > 3
    assert all(one["integrity"].startswith("sha512-") for name, one in packages.items() if name)


def test_an_invitation_says_what_is_missing_where_it_is_opened(tmp_path: Path) -> None:
    local = invitation("http://127.0.0.1:81/secret/", Address(), tmp_path)
    assert "\n  http://127.0.0.1:81/secret/\n" in local
    assert "adb reverse tcp:81 tcp:81" in local
    assert "no threads" not in local
    plain = invitation("http://192.168.1.7:81/secret/", Address("192.168.1.7"), tmp_path)
    assert "no threads, no WebGPU, no camera, not offline" in plain


def test_the_qr_code_holds_the_link() -> None:
    import segno

    link = "http://127.0.0.1:81/secret/"
    lines = qr_code(link).splitlines()
    modules = [list(row) for row in segno.make(link, micro=False, error="l").matrix_iter(border=2)]
    upper = {"█": (0, 0), " ": (1, 1), "▀": (0, 1), "▄": (1, 0)}
    for place, line in enumerate(line for line in lines if line):
        rows = modules[2 * place : 2 * place + 2]
        for column, mark in enumerate(line):
            assert tuple(row[column] for row in rows) == upper[mark][: len(rows)]
