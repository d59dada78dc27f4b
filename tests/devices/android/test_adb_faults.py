"""What can go wrong with a phone: each is told for what it is, and nothing stays behind."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
import time
from pathlib import Path

import pytest
from phone import PhoneFolder
from phone_jobs import Connect, inputs, job

from edgekit.devices import Failure, adb, adb_phone, open_device
from edgekit.devices.adb_session import FOLDER
from edgekit.errors import EdgekitError, InputError, MissingError

pytestmark = pytest.mark.adb


def refused(uri: str, error: type[EdgekitError] = MissingError) -> EdgekitError:
    with pytest.raises(error) as caught:
        open_device(uri)
    assert caught.value.exit_code == (3 if error is MissingError else 2)
    assert caught.value.hint
    return caught.value


@pytest.mark.parametrize(
    "uri",
    ["adb", "adb://", "adb:///data", "adb://serial/path", "adb://serial?tool=x", "adb://serial#x"],
)
def test_a_uri_that_names_no_phone(uri: str) -> None:
    assert "names no phone" in refused(uri, InputError).what


def test_adb_is_not_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    error = refused("adb://serial-of-none")
    assert error.what == "adb is not installed"
    assert "apt-get install adb" in error.hint


def test_a_serial_that_is_not_connected(phone: PhoneFolder, connect: Connect) -> None:
    serial = connect(phone)
    error = refused("adb://emulator-5554")
    assert error.what == "emulator-5554 is not connected"
    assert f"{serial} device" in error.hint
    assert "adb connect 127.0.0.1:1" in refused("adb://127.0.0.1:1").hint


@pytest.mark.parametrize(
    ("state", "what", "hint"),
    [
        ("unauthorized", "is not authorized", "accept this computer's key"),
        ("offline", "is offline", "reconnect"),
    ],
)
def test_a_phone_that_does_not_let_us_in(
    state: str, what: str, hint: str, phone: PhoneFolder, connect: Connect
) -> None:
    error = refused(f"adb://{connect(phone, state)}")
    assert what in error.what
    assert hint in error.hint


def test_a_tool_that_is_missing_or_none(tmp_path: Path, connect: Connect) -> None:
    phone = PhoneFolder(tmp_path / "phone")
    serial = connect(phone)
    error = refused(f"adb://{serial}")
    assert error.what == f"{serial} has no /data/local/tmp/benchmark_model"
    assert "push benchmark_model" in error.hint
    assert "no ./none here" in refused(f"adb://{serial}?benchmark_model=./none").what
    path = phone.install_tool()
    path.chmod(0o644)
    assert "Permission denied" in refused(f"adb://{serial}").what
    phone.install("#!/bin/sh\necho hello\n")
    assert refused(f"adb://{serial}").what.endswith("is no benchmark_model: hello")


@pytest.mark.parametrize("when", ["edgekit-session/", "--graph="])
def test_a_phone_that_goes_away_in_the_middle(
    when: str, phone: PhoneFolder, tmp_path: Path, connect: Connect
) -> None:
    """While a file is sent, and while the tool runs."""
    device = open_device(f"adb://{connect(phone)}")
    phone.vanish_at = when
    with pytest.raises(MissingError) as caught:
        device.call(job(tmp_path), inputs())
    assert caught.value.exit_code == 3
    assert (
        "went away" in caught.value.what
        or "is not connected" in caught.value.what
        or "offline" in str(caught.value)
    )


def test_a_full_phone(phone: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    device = open_device(f"adb://{connect(phone)}")
    phone.free_bytes = 100
    with pytest.raises(MissingError, match="No space left on device") as caught:
        device.call(job(tmp_path), inputs())
    assert "shell df /data" in caught.value.hint
    assert isinstance(device, adb.Adb)
    device._session.close()
    assert phone.left_over() == []


def fail(phone: PhoneFolder, word: str, folder: Path, connect: Connect, *, timeout_s: float = 60) -> Failure:
    phone.install_tool("v1", word)
    device = open_device(f"adb://{connect(phone)}")
    outcome = device.call(job(folder, timeout_s=timeout_s), inputs())
    assert isinstance(outcome, Failure)
    return outcome


def test_a_tool_that_is_killed(phone: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    failure = fail(phone, "kill", tmp_path, connect)
    assert failure.kind == "crash"
    assert failure.reason == "SIGKILL (often: Android's low-memory killer) killed benchmark_model"


def test_a_tool_that_hangs_is_ended_on_the_phone(
    phone: PhoneFolder, tmp_path: Path, connect: Connect
) -> None:
    start = time.monotonic()
    failure = fail(phone, "hang", tmp_path, connect, timeout_s=3)
    assert failure.kind == "hang"
    assert failure.reason == "no answer within 3 s from benchmark_model"
    assert time.monotonic() - start < 60
    assert ended(phone)


def ended(phone: PhoneFolder) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        if not phone.running():
            return True
        time.sleep(0.1)
    return False


def test_a_tool_that_writes_nonsense(phone: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    failure = fail(phone, "garbage", tmp_path, connect)
    assert failure.kind == "error"
    assert "no timings in what it wrote" in failure.reason
    assert "Segmentation fau" in failure.log


def test_a_file_that_the_tool_cannot_load(phone: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    (tmp_path / "model.tflite").write_bytes(b"no model")
    outcome = open_device(f"adb://{connect(phone)}").call(job(tmp_path), inputs())
    assert isinstance(outcome, Failure)
    assert outcome.kind == "error"
    assert "ended with status 1: ERROR: Failed to load model" in outcome.reason


def test_a_phone_has_one_user(phone: PhoneFolder, connect: Connect) -> None:
    serial = connect(phone)
    owner = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    try:
        boot = phone.place("proc/sys/kernel/random/boot_id").read_text().strip()
        folder = phone.place(FOLDER)
        folder.mkdir()
        (folder / "owner").write_text(f"{platform.node()} {owner.pid} {boot}\n")
        error = refused(f"adb://{serial}")
        assert f"is in use: process {owner.pid} on {platform.node()}" in error.what
        assert f"shell rm -r {FOLDER}" in error.hint
        (folder / "owner").write_text(f"elsewhere 1 {boot}\n")
        assert "process 1 on elsewhere" in refused(f"adb://{serial}").what
        assert (folder / "owner").exists(), "what is another's stays"
    finally:
        owner.communicate(b"\n", timeout=30)


@pytest.mark.parametrize("owner", ["{node} {ended} {boot}", "elsewhere 1 of-another-start", ""])
def test_a_dead_session_s_folder_is_taken_away_with_what_it_left_running(
    owner: str, phone: PhoneFolder, connect: Connect
) -> None:
    serial = connect(phone)
    done = subprocess.Popen([sys.executable, "-c", ""])
    done.wait(30)
    boot = phone.place("proc/sys/kernel/random/boot_id").read_text().strip()
    folder = phone.place(FOLDER)
    folder.mkdir()
    if owner:
        (folder / "owner").write_text(owner.format(node=platform.node(), ended=done.pid, boot=boot) + "\n")
    left = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)", str(folder)])
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    (folder / "pid").write_text(f"{left.pid}\n")
    try:
        open_device(f"adb://{serial}")
        assert left.wait(30) == -9
        assert stranger.poll() is None
        assert (folder / "owner").read_text().split()[1] == str(os.getpid())
        assert phone.left_over() == ["edgekit-session"]
    finally:
        for process in (left, stranger):
            process.kill()
            process.wait(30)


def test_a_process_of_another_is_not_ended_by_a_stale_id(phone: PhoneFolder, connect: Connect) -> None:
    device = open_device(f"adb://{connect(phone)}")
    assert isinstance(device, adb.Adb)
    stranger = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    try:
        phone.place(f"{FOLDER}/pid").write_text(f"{stranger.pid}\n")
        device._session.close()
        assert phone.left_over() == []
        assert stranger.poll() is None
    finally:
        stranger.kill()
        stranger.wait(30)


def test_a_phone_that_takes_no_folder(phone: PhoneFolder, connect: Connect) -> None:
    phone.write("bin/mkdir", "#!/bin/sh\necho 'mkdir: No space left on device' >&2\nexit 1\n")
    assert "takes no files: mkdir: No space left on device" in refused(f"adb://{connect(phone)}").what


def test_a_phone_that_says_nothing(
    phone: PhoneFolder, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    device = open_device(f"adb://{connect(phone)}")
    monkeypatch.setattr(adb_phone, "ANSWER_SECONDS", 1.0)
    (phone.root / "bin/uname").write_text("#!/bin/sh\nsleep 600\n")
    with pytest.raises(MissingError, match="does not answer"):
        device.state()
