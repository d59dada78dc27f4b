"""What goes wrong with a device over ssh: in words that say what to do, exit code 3, nothing left on either side."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
import threading
import venv
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_runtime import ended, inputs, job, pids
from ssh_server import Server, write_client_config

from edgekit.devices import Answer, Failure, Job, ssh_session
from edgekit.devices.ssh import Ssh
from edgekit.devices.ssh_address import parse
from edgekit.errors import MissingError

pytestmark = pytest.mark.sshd


@pytest.fixture(autouse=True)
def temporary(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Temporary files go into a folder of the test's, empty after it."""
    folder = Path(tempfile.mkdtemp())  # pytest's has too long a name for a socket
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    left = [*folder.iterdir()]
    shutil.rmtree(folder)
    assert left == []


def refused(device: Ssh, work: Job | None = None) -> MissingError:
    with pytest.raises(MissingError) as failure:
        device.call(work, inputs()) if work else device.state()
    device.close()
    assert failure.value.exit_code == 3
    assert failure.value.hint
    return failure.value


@pytest.mark.parametrize(
    ("keys", "what", "hint"),
    [
        ({"host_key": ""}, "its host key is not known here", "compare the fingerprint: ssh -p"),
        ({"host_key": "other_host_key"}, "its host key is not the one that is known", "ssh-keygen -R"),
        ({"user_key": "other_user_key"}, "refused to log in", "ssh-copy-id"),
    ],
)
def test_keys_that_do_not_fit(
    server: Server, monkeypatch: pytest.MonkeyPatch, keys: dict[str, str], what: str, hint: str
) -> None:
    config = write_client_config(server.folder, server.port, name="wrong", **keys)
    monkeypatch.setenv("EDGEKIT_SSH_CONFIG", str(config))
    known = config.with_name("wrong.known_hosts").read_text()
    error = refused(server.connect())
    assert what in error.what
    assert hint in error.hint
    assert config.with_name("wrong.known_hosts").read_text() == known, "no key was taken in"


def test_a_configuration_cannot_turn_checking_off(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    config = write_client_config(server.folder, server.port, name="careless", host_key="")
    config.write_text(f"StrictHostKeyChecking no\n{config.read_text()}")
    monkeypatch.setenv("EDGEKIT_SSH_CONFIG", str(config))
    assert "its host key is not known here" in refused(server.connect()).what


def test_a_port_where_nobody_listens() -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    error = refused(Ssh(parse(f"ssh://127.0.0.1:{port}")))
    assert error.what.startswith(f"ssh://127.0.0.1:{port} cannot be reached: ")
    assert "Connection refused" in error.what


@pytest.mark.parametrize("user", ["nobody there", 'it\'s "me"', "$(reboot)"])
def test_users_that_are_none(server: Server, user: str) -> None:
    error = refused(Ssh(parse(server.uri(user=user))))
    assert user in error.what
    assert "refused to log in" in error.what or "invalid characters" in error.what


def test_no_ssh_here(server: Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no ssh on this machine" in refused(server.connect()).what


def test_no_python_there(server: Server) -> None:
    error = refused(server.connect(python="/no/such/python3"))
    assert error.what.endswith("has no /no/such/python3")
    assert "apt-get install python3" in error.hint


def test_no_numpy_there(server: Server, tmp_path: Path) -> None:
    venv.create(tmp_path / "bare", with_pip=False)
    python = tmp_path / "bare" / "bin" / "python"
    device = server.connect(python=str(python))
    outcome = device.call(job(tmp_path), inputs())
    device.close()
    assert isinstance(outcome, Failure)
    assert (outcome.kind, outcome.reason) == ("missing", "numpy")
    assert outcome.install.endswith(f": {python} -m pip install")


def test_an_old_python_there(server: Server, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'Python 3.6 is too old, 3.9 is needed' >&2\nexit 1\n")
    python.chmod(0o755)
    assert "Python 3.6 is too old" in refused(server.connect(python=str(python))).what


def test_two_at_once(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("USER", "alice")
    first = server.connect()
    first.state()
    error = refused(server.connect())
    assert "is in use by alice on " in error.what
    assert first.state().facts["cpu"], "the first is not disturbed"
    first.close()
    second = server.connect()
    assert second.state().facts["cpu"]
    second.close()


def test_the_connection_drops_while_files_are_sent(server: Server, tmp_path: Path) -> None:
    server.fault("drop")
    work = job(tmp_path)
    work.runtime.write_text(f"{work.runtime.read_text()}\n# {tmp_path}")  # not there from another test
    device = server.connect()
    assert "was lost while sending files" in refused(device, work).what
    server.fault("well")
    assert isinstance(device.call(work, inputs()), Answer), "the next call begins another session"
    device.close()


def test_the_connection_drops_while_a_job_runs(server: Server, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    work = job(tmp_path, f"open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)")

    def cut() -> None:
        pids(mark)
        server.drop()

    dropping = threading.Thread(target=cut)
    dropping.start()
    error = refused(server.connect(), work)
    dropping.join()
    assert "was lost while running a job" in error.what, error
    (runner,) = pids(mark)
    assert ended(runner)


def test_the_connection_drops_while_results_come_back(server: Server, tmp_path: Path) -> None:
    body = f"open({str(server.folder / 'fault')!r}, 'w').write('drop')"
    assert (
        "was lost while fetching results"
        in refused(server.connect(), job(tmp_path, body, mode="predict")).what
    )


def test_a_disk_that_fills_up(server: Server, tmp_path: Path) -> None:
    server.fault("full")
    work = job(tmp_path)
    work.model_files[0].write_bytes(bytes(1_000_000))
    error = refused(server.connect(), work)
    assert "failed while sending files" in error.what
    server.fault("well")
    device = server.connect()
    assert isinstance(device.call(work, inputs()), Answer), "no half of the file was kept"
    device.close()


def test_a_disk_that_is_too_small_is_sent_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = ssh_session._sources()
    small = [
        (name, source.replace("shutil.disk_usage(self.folder).free", "1000")) for name, source in sources
    ]
    assert small != sources
    monkeypatch.setattr(ssh_session, "_sources", lambda: small)
    work = job(tmp_path)
    work.model_files[0].write_bytes(bytes(2_000_000))
    before = server.transfers
    error = refused(server.connect(), work)
    assert "its disk is full: 2.0 MB are to be sent, 0.0 MB are free" in error.what
    assert server.transfers == before


@pytest.mark.parametrize("named", ["incoming", "outgoing"])
@pytest.mark.parametrize("added", ["\n!touch {owned}\n", '"\n!touch {owned}', "\\", "\x7f"])
def test_a_folder_that_would_be_a_command_here(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, named: str, added: str
) -> None:
    place = {"incoming": "str(self.incoming)", "outgoing": "str(outgoing)"}[named]
    owned, sources = tmp_path / "owned", ssh_session._sources()
    lie = f'"{named}": {place} + {added.format(owned=owned)!r}'
    lying = [(name, source.replace(f'"{named}": {place}', lie)) for name, source in sources]
    assert lying != sources
    monkeypatch.setattr(ssh_session, "_sources", lambda: lying)
    work = job(tmp_path, mode="predict")
    work.model_files[0].write_text(f"{tmp_path}")  # not there from another test
    assert "that is no plain path" in refused(server.connect(), work).what
    assert not owned.exists()


def test_no_sftp_there(server: Server, tmp_path: Path) -> None:
    server.fault("none")
    work = job(tmp_path)
    work.model_files[0].write_text(str(tmp_path))
    error = refused(server.connect(), work)
    assert "failed while sending files" in error.what
    assert "openssh-sftp-server" in error.hint


def test_a_folder_that_cannot_be_made(server: Server, tmp_path: Path) -> None:
    """As on a disk that is full or read-only."""
    moved = server.device.rename(tmp_path / "aside") if server.device.exists() else None
    server.device.write_text("a file in the way")
    error = refused(server.connect())
    server.device.unlink()
    if moved:
        shutil.move(moved, server.device)
    assert "File exists" in error.what


def test_a_device_that_hangs(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The agent is stopped: it answers nothing, and neither does it end.

    Once it goes on, its reply reaches nobody and stdin has ended, both at once: what it left is removed all the same.
    """
    device = server.connect()
    device.state()
    (stopped,) = server.agents()
    (folder,) = server.sessions()
    for place in range(5000):  # removing them takes a while
        (folder / str(place)).touch()
    os.kill(stopped, signal.SIGSTOP)
    monkeypatch.setattr(ssh_session, "ANSWER_S", 1.0)
    monkeypatch.setattr(ssh_session, "END_S", 0.5)
    error = refused(device)
    os.kill(stopped, signal.SIGCONT)
    assert "does not answer while reading its state" in error.what
