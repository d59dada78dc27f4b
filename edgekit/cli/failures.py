"""The one table from an exception to a message and an exit code; nobody else prints errors."""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

import typer

from edgekit.cli.output import print_json
from edgekit.errors import EdgekitError

BUG: Final = 70
INTERRUPTED: Final = 130
READER_GONE: Final = 141
"""128 + SIGPIPE: what shells report for a program whose reader (`| head`) went away."""
RESUME_HINT: Final = "the same command with --resume continues after the last finished stage"


@dataclass(frozen=True)
class _Message:
    """What a user is told, and the exit code."""

    what: str
    hint: str
    exit_code: int


def guarded(run: Callable[[], None], arguments: Sequence[str]) -> int:
    """Run a command and give its exit code; whatever it raises becomes a message, never a traceback."""
    try:
        run()
        sys.stdout.flush()
    except typer.Exit as done:
        return done.exit_code
    except BrokenPipeError:
        _drop_standard_output()
        return READER_GONE
    except (Exception, KeyboardInterrupt) as error:  # noqa: BLE001  the last resort: users never see a traceback
        return _tell(_message(error, arguments), as_json="--json" in arguments)
    return 0


def _message(error: BaseException, arguments: Sequence[str]) -> _Message:
    match error:
        case EdgekitError():
            return _Message(error.what, error.hint, error.exit_code)
        case typer.TyperException():  # an option or argument that is wrong
            context = getattr(error, "ctx", None)
            command = context.command_path if context else "edgekit"
            return _Message(error.format_message(), f"{command} --help", error.exit_code)
        case KeyboardInterrupt():
            return _Message("interrupted", RESUME_HINT if "compress" in arguments[:1] else "", INTERRUPTED)
        case _:
            what = f"a bug in edgekit: {type(error).__name__}: {str(error).partition(chr(10))[0]}"
            return _Message(what, f"the traceback is in {_saved(error, arguments)}", BUG)


def _tell(message: _Message, *, as_json: bool) -> int:
    if message.exit_code != BUG and int(os.environ.get("LOCAL_RANK", "0")) > 0:
        return message.exit_code  # of several processes, the first on each machine tells what is wrong there
    try:
        if as_json:
            print_json({"error": asdict(message)}, sys.stdout)
            sys.stdout.flush()
        hint = f"\n  {message.hint}" if message.hint else ""
        typer.echo(typer.style("error: ", fg="red", bold=True) + message.what + hint, err=True)
    except BrokenPipeError:
        _drop_standard_output()
    return message.exit_code


def _saved(error: BaseException, arguments: Sequence[str]) -> Path:
    """The file with the traceback: in the platform's folder for logs, or where temporary files go."""
    from platformdirs import user_log_path

    text = "".join(
        (
            f"edgekit {' '.join(arguments)}\nPython {sys.version}\n{platform.platform()}\n\n",
            *traceback.format_exception(error),
        )
    )
    name = f"crash-{time.strftime('%Y%m%d-%H%M%S')}-{os.getpid()}.txt"
    for folder in (user_log_path("edgekit"), Path(tempfile.gettempdir())):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).write_text(text, encoding="utf-8", errors="backslashreplace")
        except OSError:
            continue
        return folder / name
    return Path(os.devnull)


def _drop_standard_output() -> None:
    """Lead what is still buffered nowhere, so that Python's own flush at exit does not fail."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, sys.stdout.fileno())
    except OSError:  # not a real file: nothing is flushed at exit
        pass
    finally:
        os.close(nowhere)
