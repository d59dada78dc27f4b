"""What can go wrong, each with its exit code: what failed, where, and what to do now."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class EdgekitError(Exception):
    """An error that a user can act on; `cli` prints `what` and `hint` and exits with `exit_code`."""

    exit_code = 70

    def __init__(self, what: str, *, hint: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.what}\n  {self.hint}" if self.hint else self.what


class BudgetError(EdgekitError):
    """A budget or a gate failed (what was reached instead is in the message)."""

    exit_code = 1


class InputError(EdgekitError):
    """Bad input: a name, a file, a folder, an option."""

    exit_code = 2


class MissingError(EdgekitError):
    """A device that was named, or a package that the work needs, is missing or unreachable."""

    exit_code = 3


class MeasurementError(EdgekitError):
    """A measurement is invalid: the runtime failed, or the device's state changed under it."""

    exit_code = 4


class InconclusiveError(EdgekitError):
    """Too little was measured to say either way."""

    exit_code = 5


def unknown(kind: str, name: str, known: Iterable[str], *, hint: str = "") -> InputError:
    """The error for a name that is not known, with the near ones (or all of them where none is near)."""
    names = sorted(known)
    near = difflib.get_close_matches(name, names, n=3, cutoff=0.5)
    offer = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(names)}"
    return InputError(f"unknown {kind} {name!r}", hint=f"{offer} {hint}".strip())
