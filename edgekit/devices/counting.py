"""Which operators a file holds, for devices whose runtime does not tell: it is opened in its runtime here."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from edgekit.devices import Failure
from edgekit.devices.local import Local

if TYPE_CHECKING:
    from types import ModuleType

    from edgekit.devices import Array, Job

COUNTED = ("operators", "integer_operators", "float_operators", "float_precision")
ONE_INFERENCE = {"warmup_seconds": 0.0, "min_seconds": 0.0, "max_seconds": 0.0, "min_samples": 1.0}

Counts = Mapping[str, Any]
"""Operators by type, and how the weighted ones compute: `COUNTED`."""


def tiny_model(runtime: ModuleType) -> bytes:
    """The runtime's own smallest file."""
    return base64.b64decode(runtime.TINY_MODEL)


def count(job: Job, inputs: Array | None) -> Counts | Failure:
    """Which operators the file holds, and how many of the weighted ones compute on integers.

    The device does not tell them: the file is opened and run once in its runtime on this machine.
    """
    outcome = Local().call(replace(job, mode="latency", limits=ONE_INFERENCE), inputs)
    if isinstance(outcome, Failure):
        return outcome
    executed = outcome.values["executed"]
    return {name: executed[name] for name in COUNTED}
