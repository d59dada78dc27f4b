"""The toolkit's process: found or missed, listened to, and what its end means; a script stands in for TensorFlow."""

from __future__ import annotations

import stat
import sys
from pathlib import Path

import pytest

from edgekit.errors import EdgekitError, InputError, MissingError
from edgekit.tfmot import process


def stand_in(folder: Path, body: str) -> str:
    """An interpreter that runs this body; `folder` is the job's."""
    path = folder / "python"
    path.write_text(
        f"#!{sys.executable}\nimport json, os, pathlib, signal, sys, time\n"
        f"folder = pathlib.Path(sys.argv[-1])\njob = json.loads((folder / 'job.json').read_text())\n{body}\n"
    )
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


@pytest.fixture(autouse=True)
def _nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(process, "installed", lambda _: False)
    monkeypatch.setattr(process, "CHECKOUT", tmp_path / "none")
    monkeypatch.delenv(process.VARIABLE, raising=False)


def test_missing_says_what_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(MissingError, match=r"tensorflow is not installed\n.*pip install 'edgekit\[tfmot\]'"):
        process.interpreter()
    monkeypatch.setenv(process.VARIABLE, "/nowhere/python")
    with pytest.raises(MissingError, match="names /nowhere/python, which cannot be run"):
        process.interpreter()


def test_an_environment_without_it_is_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(process.VARIABLE, sys.executable)
    monkeypatch.setattr(process, "PACKAGES", ("no_such_package",))
    with pytest.raises(MissingError, match="has no no_such_package"):
        process.check()
    monkeypatch.setattr(process, "PACKAGES", ("json",))
    process.check()


def test_what_it_says_is_told_and_its_result_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    body = """print('a library speaks'); print(json.dumps({'loss': 0.5})); print('{"loss": 0.25}', flush=True)
(folder / 'result.json').write_text(json.dumps({'kind': job['kind'], 'path': os.environ.get('PYTHONPATH')}))"""
    monkeypatch.setenv(process.VARIABLE, stand_in(tmp_path, body))
    monkeypatch.setenv("PYTHONPATH", "/somewhere")
    said: list[object] = []
    with process.work() as work:
        result = process.call(work, {"kind": "train"}, timeout_s=60, told=said.append)
    assert said == [{"loss": 0.5}, {"loss": 0.25}]
    assert result == {"kind": "train", "path": None}
    assert not work.folder.exists()


@pytest.mark.parametrize(
    ("body", "error", "said"),
    [
        ("sys.exit('edgekit refuses: the layer a is odd')", InputError, "^the layer a is odd$"),
        ("raise ValueError('inside')", EdgekitError, "could not train: ValueError: inside"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", EdgekitError, "it crashed .signal 11."),
        ("time.sleep(60)", EdgekitError, "it said nothing for minutes, and was ended"),
    ],
)
def test_how_it_ends(
    body: str, error: type[EdgekitError], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(process.VARIABLE, stand_in(tmp_path, body))
    with process.work() as work, pytest.raises(error, match=said) as raised:
        process.call(work, {"kind": "train"}, timeout_s=3)
    assert type(raised.value) is error
