"""What a stage is told of a run, where there is none."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from edgekit.data import Data
from edgekit.model import Model
from edgekit.progress import Silent
from edgekit.stages import Context
from edgekit.target import load_target


def context(baseline: Model, data: Data, **changed: Any) -> Context:
    """A run for this machine that says nothing, measures nothing and whose files are empty, but what is changed."""
    plain = Context(
        data=data,
        target=load_target("host"),
        baseline=baseline,
        accuracy_floor=None,
        seed=0,
        torch_device="cpu",
        progress=Silent(),
        measured_accuracy=lambda _: None,
        file_bytes=lambda _: 0,
    )
    return replace(plain, **changed)
