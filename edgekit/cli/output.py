"""The one sink: a command's result goes to standard output, for people or as one JSON document."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from typing import TYPE_CHECKING, Final, TextIO

if TYPE_CHECKING:
    from rich.console import Console

WIDTH: Final = 100
"""Columns where there is no terminal to ask (a pipe, a log)."""


class Output:
    """Where a command's result goes; made by `output`."""

    def __init__(self, stream: TextIO, *, as_json: bool) -> None:
        self._stream = stream
        self._as_json = as_json

    def show(self, document: object, human: Callable[[Console], None]) -> None:
        """Print the result: `document` as JSON where that was asked for, else what `human` prints."""
        if self._as_json:
            print_json(document, self._stream)
        else:
            self._stream.write(_rendered(human, self._stream))
        self._stream.flush()


@contextmanager
def output(*, as_json: bool) -> Iterator[Output]:
    """The sink for one command; what is printed on standard output inside the block goes to standard error.

    Libraries print when they are imported, too: a command imports what it calls inside the block.
    """
    with _kept_clean(sys.stdout) as stream:
        yield Output(stream, as_json=as_json)


def print_json(document: object, stream: TextIO) -> None:
    """One document; ASCII, so that no terminal's encoding can break it."""
    stream.write(json.dumps(document, indent=2, allow_nan=False) + "\n")


def _rendered(human: Callable[[Console], None], stream: TextIO) -> str:
    """What `human` prints; written by us, because rich ends the program itself when a reader goes away."""
    from rich.console import Console

    text = io.StringIO()
    human(
        Console(
            file=text,
            width=_width(stream),
            force_terminal=stream.isatty() or None,
            highlight=False,
            markup=False,
            emoji=False,
        )
    )
    return text.getvalue()


def _width(stream: TextIO) -> int | None:
    """The terminal's columns, `WIDTH` where there is none; None leaves it to rich, which reads `COLUMNS`."""
    if "COLUMNS" in os.environ:
        return None
    try:
        return os.get_terminal_size(stream.fileno()).columns
    except OSError:
        return WIDTH


@contextmanager
def _kept_clean(stream: TextIO) -> Iterator[TextIO]:
    """Another handle on `stream`; its own leads to standard error meanwhile, for C code and children too."""
    try:
        number, errors = stream.fileno(), sys.stderr.fileno()
    except OSError:  # not a real file: Python's own prints are all that can come
        with redirect_stdout(sys.stderr):
            yield stream
        return
    stream.flush()
    with os.fdopen(os.dup(number), "w", encoding=stream.encoding, errors="replace") as kept:
        os.dup2(errors, number)
        try:
            yield kept
        finally:
            stream.flush()
            os.dup2(kept.fileno(), number)
