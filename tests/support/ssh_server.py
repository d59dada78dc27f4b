"""A real sshd on loopback, of a test's own: keys, configuration and the device's folder lie in one folder."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from edgekit.devices.ssh import Ssh
from edgekit.devices.ssh_address import parse

SFTP_SERVERS = (
    "/usr/lib/openssh/sftp-server",
    "/usr/libexec/sftp-server",
    "/usr/libexec/openssh/sftp-server",
)
SFTP = """#!/bin/sh
echo >> '{folder}/transfers'
case "$(cat '{folder}/fault')" in
    full) ulimit -f 8 ;;
    drop) kill -9 $PPID ;;
    none) echo no such thing >&2; exit 1 ;;
esac
exec {server}
"""


class Server:
    """One that runs; `config` is a client's configuration that reaches it."""

    def __init__(self, folder: Path, port: int, process: subprocess.Popen[bytes]) -> None:
        self.folder, self.port, self.process = folder, port, process
        self.config = folder / "ssh_config"
        self.device = folder / "the device's folder" / "edgekit"
        """Where the agent works."""

    def uri(self, *, user: str = "", python: str = sys.executable) -> str:
        """The device's URI."""
        me = pwd.getpwuid(os.getuid()).pw_name
        return f"ssh://{quote(user or me)}@127.0.0.1:{self.port}?python={quote(python)}"

    def connect(self, *, python: str = sys.executable) -> Ssh:
        """A device of its own, not the one that all share who open the URI."""
        return Ssh(parse(self.uri(python=python)))

    def fault(self, kind: str) -> None:
        """From now on `full` (files end early), `drop` (sftp ends the connection), `none`, or `well`."""
        (self.folder / "fault").write_text(kind)

    @property
    def transfers(self) -> int:
        """How often sftp was started."""
        path = self.folder / "transfers"
        return len(path.read_text().splitlines()) if path.exists() else 0

    def sessions(self) -> list[Path]:
        """Folders of sessions on the device; an agent that ends removes its own."""
        return [*(self.device / "sessions").glob("*")]

    def quiet(self) -> bool:
        """Whether the device is clean again, a while later."""
        deadline = time.monotonic() + 15
        while self.sessions() or processes_in(self.device):
            if time.monotonic() > deadline:
                return False
            time.sleep(0.05)
        return True

    def drop(self) -> None:
        """Cut all connections."""
        for pid in children_of(self.process.pid):
            for below in children_of(pid):  # with privileges separated, another one holds the socket
                if Path(f"/proc/{below}/comm").read_text().startswith("sshd"):
                    os.kill(below, signal.SIGKILL)
            os.kill(pid, signal.SIGKILL)

    def agents(self) -> list[int]:
        """Processes of agents that this server's connections started."""
        own = [pid for pid in all_processes() if os.fsencode(self.folder) in _read(pid, "environ")]
        return [pid for pid in own if _read(pid, "cmdline").split(b"\0")[1:3] == [b"-I", b"-c"]]


@contextmanager
def running(folder: Path, program: str) -> Iterator[Server]:
    """Start one, by the path of sshd, in a new folder, with keys made for it; it ends with the block."""
    folder.chmod(0o700)
    for key in ("host_key", "other_host_key", "user_key", "other_user_key"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", folder / key], check=True)
    shutil.copy(folder / "user_key.pub", folder / "authorized_keys")
    wrapper = folder / "sftp.sh"
    server = next(path for path in SFTP_SERVERS if Path(path).exists())
    wrapper.write_text(SFTP.format(folder=folder, server=server))
    wrapper.chmod(0o755)
    (folder / "fault").write_text("well")
    (folder / "the device's folder").mkdir()
    if os.getuid() == 0:
        Path("/run/sshd").mkdir(exist_ok=True)  # a started service has it
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = int(free.getsockname()[1])
    _write_server_config(folder, port)
    write_client_config(folder, port)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([program, "-D", "-e", "-f", folder / "sshd_config"], stderr=log)
    started = Server(folder, port, process)
    try:
        _wait(started)
        yield started
    finally:
        started.drop()
        process.terminate()
        process.wait(10)


def _write_server_config(folder: Path, port: int) -> None:
    (folder / "sshd_config").write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host_key\nPidFile none\nUsePAM no\n"
        f"StrictModes no\nAuthorizedKeysFile {folder}/authorized_keys\nPasswordAuthentication no\n"
        f"KbdInteractiveAuthentication no\nSubsystem sftp {folder}/sftp.sh\n"
        f'SetEnv "XDG_CACHE_HOME={folder}/the device\'s folder"\n'
    )


def write_client_config(
    folder: Path,
    port: int,
    *,
    name: str = "ssh_config",
    host_key: str = "host_key",
    user_key: str = "user_key",
) -> Path:
    """A configuration that knows a host key (none: an empty text) and has a user's key."""
    known = folder / f"{name}.known_hosts"
    key = (folder / f"{host_key}.pub").read_text() if host_key else ""
    known.write_text(f"[127.0.0.1]:{port} {key}" if key else "")
    path = folder / name
    path.write_text(
        f"UserKnownHostsFile {known}\nGlobalKnownHostsFile none\nIdentityFile {folder / user_key}\n"
        "IdentitiesOnly yes\nIdentityAgent none\n"
    )
    return path


def _wait(server: Server) -> None:
    deadline = time.monotonic() + 20
    while True:
        assert server.process.poll() is None, (server.folder / "log").read_text()
        try:
            socket.create_connection(("127.0.0.1", server.port), 1).close()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def children_of(pid: int) -> list[int]:
    """Processes that a process started and that run."""
    return [
        other
        for other in all_processes()
        if _read(other, "stat").rpartition(b")")[2].split()[1:2] == [str(pid).encode()]
    ]


def processes_in(folder: Path) -> list[int]:
    """Processes that work under a folder."""
    found = []
    for pid in all_processes():
        try:
            place = Path(f"/proc/{pid}/cwd").readlink()
        except OSError:
            continue
        if place.is_relative_to(folder):
            found.append(pid)
    return found


def all_processes() -> list[int]:
    """`glob` would look into each, and raise for one that ends meanwhile."""
    return [int(path.name) for path in Path("/proc").iterdir() if path.name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # gone
        return b""
