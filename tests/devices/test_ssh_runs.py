"""Jobs over a real ssh: the same answers as here, nothing sent twice, turns taken on the device, nothing left there."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from itertools import groupby
from pathlib import Path

import numpy as np
import pytest
from fake_runtime import LIMITS, by_turns, ended, inputs, job, pids
from ssh_server import Server

from edgekit import runtimes
from edgekit.devices import Answer, Device, Failure, Job, agent, open_device, ssh_session
from edgekit.devices.local import Local
from edgekit.devices.ssh import Ssh
from edgekit.errors import MissingError

pytestmark = pytest.mark.sshd


@pytest.fixture
def device(server: Server) -> Iterator[Ssh]:
    connected = server.connect()
    yield connected
    connected.close()


def answered(device: Device, work: Job, count: int = 1) -> Answer:
    outcome = device.call(work, inputs(count))
    assert isinstance(outcome, Answer), outcome
    return outcome


def test_outputs_are_those_of_this_machine(device: Ssh, tmp_path: Path) -> None:
    work = job(tmp_path, "self.output = np.sin(self.batch / 7)", mode="predict")
    here, there = (answered(each, work, 5).outputs for each in (Local(), device))
    assert here is not None
    assert there is not None
    np.testing.assert_array_equal(there, here)


def test_a_real_runtime_runs_there(device: Ssh) -> None:
    probe = Job("probe", runtimes.find("onnxruntime").file)
    here, there = Local().call(probe), device.call(probe)
    assert isinstance(here, Answer)
    assert isinstance(there, Answer)
    assert there.values.keys() == here.values.keys()
    for name in ("precisions", "version", "numpy"):
        assert there.values[name] == here.values[name]


def test_unchanged_files_are_not_sent_again(device: Ssh, server: Server, tmp_path: Path) -> None:
    work = job(tmp_path)
    before = server.transfers
    first = answered(device, work).values
    assert len(first["samples_ns"]) >= 20
    assert first["executed"]["threads"] == 3
    assert server.transfers == before + 1
    device.close()
    answered(server.connect(), work)  # another session finds them as well
    assert server.transfers == before + 1
    work.model_files[0].write_text("another model")
    answered(device, work)
    assert server.transfers == before + 2


def test_turns_are_given_on_the_device(device: Ssh, tmp_path: Path) -> None:
    mark = tmp_path / "order"
    bodies = [f"time.sleep(0.004); open({str(mark)!r}, 'a').write({name!r})" for name in "ab"]
    outcomes = by_turns(device, tmp_path, bodies, turns=6)
    assert [len(one.values["turns"]) for one in outcomes if isinstance(one, Answer)] == [6, 6]
    runs = [name for name, _ in groupby(mark.read_text())]
    assert runs[-6:] == ["b", "a", "b", "a", "b", "a"]


@pytest.mark.parametrize("where", ["local", "ssh"])
def test_what_a_runtime_keeps_comes_back(device: Ssh, tmp_path: Path, where: str) -> None:
    body = (
        "open('kept/an \"engine\"', 'wb').write(b'\\0\\1'); open('kept/empty', 'w'); "
        "os.makedirs('kept/folder', exist_ok=True); "
        "os.path.islink('kept/link') or os.symlink('/etc/passwd', 'kept/link')"
    )
    machine, work = Local() if where == "local" else device, job(tmp_path, body, mode="predict")
    assert answered(machine, work, 2).kept == {}, "nobody wanted it"
    answer = answered(machine, replace(work, keep=True), 2)
    assert answer.kept == {'an "engine"': b"\0\1", "empty": b""}
    assert answer.outputs is not None


def test_names_may_hold_spaces_and_quotes(server: Server, tmp_path: Path) -> None:
    """The device's own folder has both as well."""
    odd = tmp_path / 'it\'s a "model"'
    odd.mkdir()
    python = odd / "py thon's"
    python.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    work = job(odd, mode="predict")
    named = work.model_files[0].rename(odd / "net 'a' \"b\" $c.bin")
    device = server.connect(python=str(python))
    outputs = answered(device, replace(work, model_files=(named,))).outputs
    device.close()
    assert outputs is not None
    np.testing.assert_array_equal(outputs, inputs() * 2)


def test_the_state_is_the_devices(device: Ssh, server: Server) -> None:
    here, there = Local().state().facts, device.state().facts
    assert there.keys() == here.keys()
    for name in ("cpu", "machine", "system", "cores", "governor", "throttle_events"):
        assert there[name] == here[name]
    assert device.name == f"ssh://127.0.0.1 ({here['cpu']}, {here['machine']})"
    assert str(server.folder) not in device.name


def test_what_a_shell_prints_is_no_reply(server: Server, tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text(f'#!/bin/sh\necho welcome; echo "{{}}"\nexec {sys.executable} "$@"\n')
    python.chmod(0o755)
    device = server.connect(python=str(python))
    assert device.state().facts["uptime_s"] != "unknown"
    device.close()


def test_a_temporary_folder_may_have_a_long_name(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Too long for the socket over which ssh shares its connection."""
    folder = tmp_path / ("long" * 20)
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    device = server.connect()
    assert device.state().facts["machine"]
    device.close()


def test_a_uri_is_one_device(server: Server) -> None:
    uri = server.uri()
    assert open_device(uri) is open_device(uri)


def test_a_session_that_was_idle_is_begun_anew(device: Ssh, monkeypatch: pytest.MonkeyPatch) -> None:
    first = device.state()
    before = device._session
    monkeypatch.setattr(agent, "IDLE_S", 0)
    assert device.state().facts["cpu"] == first.facts["cpu"]
    assert device._session is not before


def test_an_agent_that_nobody_asks_ends(device: Ssh, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    sources = ssh_session._sources()
    hasty = [(name, source.replace("IDLE_S = 120", "IDLE_S = 0.5")) for name, source in sources]
    assert hasty != sources
    monkeypatch.setattr(ssh_session, "_sources", lambda: hasty)
    monkeypatch.setattr(agent, "IDLE_S", 0.5)  # this side knows how long it waits
    device.state()
    assert server.quiet()
    assert device.state().facts["cpu"], "and the next question begins another"


def test_what_a_killed_agent_left_is_removed_by_the_next(server: Server, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    work = job(
        tmp_path, f"open({str(mark)!r}, 'w').write(f'{{os.getpid()}} {{os.getppid()}}'); time.sleep(60)"
    )
    failures: list[MissingError] = []
    waiting = threading.Thread(target=lambda: failures.append(missing(server.connect(), work)))
    waiting.start()
    runner, started_by = pids(mark)
    os.kill(started_by, signal.SIGKILL)
    waiting.join(30)
    assert "edgekit's process there ended while running a job" in failures[0].what
    assert server.sessions()
    device = server.connect()
    device.state()
    assert ended(runner)
    assert len(server.sessions()) == 1
    device.close()


def missing(device: Ssh, work: Job) -> MissingError:
    with pytest.raises(MissingError) as failure:
        device.call(work, inputs())
    return failure.value


def test_an_edgekit_that_is_killed_leaves_nothing(server: Server, tmp_path: Path) -> None:
    mark = tmp_path / "pid"
    work = job(tmp_path, f"open({str(mark)!r}, 'w').write(str(os.getpid())); time.sleep(60)")
    script = f"""
import numpy as np
from pathlib import Path
from edgekit.devices import Job, open_device
open_device({server.uri()!r}).call(Job("latency", Path({str(work.runtime)!r}), (), 1, {{}}, {LIMITS!r}, 60),
             np.zeros((1, 3, 2, 2), np.float32))
"""
    for kind in (signal.SIGINT, signal.SIGKILL):
        mark.unlink(missing_ok=True)
        process = subprocess.Popen([sys.executable, "-c", script], stderr=subprocess.DEVNULL)
        (runner,) = pids(mark)
        process.send_signal(kind)
        assert process.wait(30) != 0
        assert ended(runner)
        assert server.quiet()


def test_what_a_runtime_does_wrong_is_told_as_it_is_here(device: Ssh, tmp_path: Path) -> None:
    for place, (body, kind) in enumerate(
        (
            ("os.kill(os.getpid(), signal.SIGKILL)", "crash"),
            ("np.empty(2**60, np.uint8)", "error"),
            ("os.write(os.open('/dev/full', os.O_WRONLY), b'x')", "error"),
            ("import a_package_that_nobody_has", "missing"),
            ("time.sleep(60)", "hang"),
        )
    ):
        (tmp_path / str(place)).mkdir()
        work = job(tmp_path / str(place), body, timeout_s=3)
        here, there = Local().call(work, inputs()), device.call(work, inputs())
        assert isinstance(here, Failure)
        assert isinstance(there, Failure)
        assert (there.kind, there.reason) == (here.kind, here.reason)
        assert there.kind == kind
        assert here.install == ""
        assert "-m pip install" in there.install
