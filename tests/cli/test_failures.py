"""Every way a command can end has one message, one exit code, and never a traceback."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import typer

from edgekit.cli.failures import BUG, INTERRUPTED, READER_GONE, guarded
from edgekit.errors import (
    BudgetError,
    EdgekitError,
    InconclusiveError,
    InputError,
    MeasurementError,
    MissingError,
)


def raising(error: BaseException) -> Callable[[], None]:
    def run() -> None:
        raise error

    return run


@pytest.fixture(autouse=True)
def log_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The platform's folder for logs, moved."""
    monkeypatch.setattr("platformdirs.user_log_path", lambda name: tmp_path / name)
    return tmp_path / "edgekit"


@pytest.mark.parametrize(
    ("error", "exit_code"),
    [
        (BudgetError("w", hint="h"), 1),
        (InputError("w", hint="h"), 2),
        (MissingError("w", hint="h"), 3),
        (MeasurementError("w", hint="h"), 4),
        (InconclusiveError("w", hint="h"), 5),
    ],
)
def test_our_errors_say_what_and_what_now(
    error: EdgekitError, exit_code: int, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(raising(error), ["compress"]) == exit_code
    assert capsys.readouterr() == ("", "error: w\n  h\n")
    assert guarded(raising(error), ["compress", "--json"]) == exit_code
    assert json.loads(capsys.readouterr().out) == {
        "error": {"what": "w", "hint": "h", "exit_code": exit_code}
    }


def test_an_interrupt_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raising(KeyboardInterrupt()), ["profile"]) == INTERRUPTED
    assert capsys.readouterr().err == "error: interrupted\n"
    guarded(raising(KeyboardInterrupt()), ["compress"])
    assert "--resume" in capsys.readouterr().err


def test_a_bug_is_one_line_and_the_file_with_its_traceback(
    log_folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert guarded(raising(ZeroDivisionError("first\nsecond")), ["compress", "mobilenetv2"]) == BUG
    error = capsys.readouterr().err
    assert "a bug in edgekit: ZeroDivisionError: first\n" in error
    assert "Traceback" not in error
    (saved,) = log_folder.iterdir()
    assert str(saved) in error
    assert "edgekit compress mobilenetv2\n" in saved.read_text()
    assert ", in run\n" in saved.read_text()


def test_where_logs_cannot_be_written_the_traceback_goes_to_a_temporary_file(
    tmp_path: Path, log_folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    log_folder.write_text("a file where the folder should be")
    monkeypatch.setattr("tempfile.gettempdir", lambda: str(tmp_path / "elsewhere"))
    assert guarded(raising(ValueError("x")), ["models"]) == BUG
    (saved,) = (tmp_path / "elsewhere").iterdir()
    assert str(saved) in capsys.readouterr().err


def test_a_reader_that_went_away_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raising(BrokenPipeError(32, os.strerror(32))), ["models"]) == READER_GONE
    assert capsys.readouterr().err == ""


def test_a_command_that_chose_its_exit_code_keeps_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert guarded(raising(typer.Exit(1)), []) == 1
    assert guarded(lambda: None, []) == 0
    assert capsys.readouterr() == ("", "")
