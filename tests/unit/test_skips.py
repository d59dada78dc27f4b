"""A test that lacks a program is skipped by its name, and fails where skips are forbidden."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture
def conftest(pytestconfig: pytest.Config, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> ModuleType:
    """The shared conftest, on a machine that has no programs."""
    found = pytestconfig.pluginmanager.get_plugin(str(Path(__file__).parents[1] / "conftest.py"))
    assert isinstance(found, ModuleType)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr(found, "SERVERS", str(tmp_path))
    return found


@pytest.mark.parametrize("marker", ["chromium", "sshd", "adb"])
def test_skipped_by_name(
    conftest: ModuleType, marker: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(conftest.FORBID_SKIPS, raising=False)
    request.node.add_marker(marker)
    with pytest.raises(pytest.skip.Exception, match=f"no {marker}"):
        conftest.pytest_runtest_setup(request.node)


def test_forbidden_skips_fail(
    conftest: ModuleType, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(conftest.FORBID_SKIPS, "1")
    request.node.add_marker("adb")
    with pytest.raises(pytest.fail.Exception, match="no adb on this machine, and EDGEKIT_FORBID_SKIPS=1"):
        conftest.pytest_runtest_setup(request.node)


def test_a_program_that_is_there_skips_nothing(
    conftest: ModuleType, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    program = tmp_path / "adb"
    program.write_text("")
    program.chmod(0o755)
    request.node.add_marker("adb")
    conftest.pytest_runtest_setup(request.node)
    assert conftest.program_of("adb") == str(program)
