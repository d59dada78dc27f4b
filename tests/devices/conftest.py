"""What devices' tests share: a real sshd, one for a file."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from ssh_server import Server, running


@pytest.fixture(scope="module")
def sshd(sshd_program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server that ssh reaches by its own configuration (the test carries the marker `sshd`)."""
    folder = tmp_path_factory.mktemp("sshd")
    with running(folder, sshd_program) as server, pytest.MonkeyPatch.context() as patch:
        patch.setenv("EDGEKIT_SSH_CONFIG", str(server.config))
        yield server


@pytest.fixture
def server(sshd: Server) -> Iterator[Server]:
    """The server, without faults; whatever a test did, the device is clean again after it."""
    sshd.fault("well")
    yield sshd
    assert sshd.quiet(), "a session's folder, or a process in it, stayed on the device"
