"""What the user gave cannot be used: the one error whose words reach the user."""

from __future__ import annotations

REFUSED = "edgekit refuses:"
"""How the line begins that `process.py` looks for."""


class Refused(Exception):  # noqa: N818 (it is what happened to the job)
    """Says what, in one line."""
