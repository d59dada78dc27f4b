"""What the command line's tests share."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _plain_width(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables as wide as in a pipe, whatever terminal (or parallel test run) asks for another width."""
    monkeypatch.delenv("COLUMNS", raising=False)
