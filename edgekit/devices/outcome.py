"""What a child told of its job, with the files that it left, as an `Answer` or a `Failure`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit.devices import Answer, Failure
from edgekit.devices.child import OUTPUTS, kept

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path


def read_outcome(told: Mapping[str, Any], folder: Path, install: str = "") -> Answer | Failure:
    """`told` as `child.outcome` gives it; `folder` holds what `child.left` names, `kept/` included."""
    if "failure" in told:
        return Failure(told["failure"], told["reason"], told["log"], install)
    outputs = folder / OUTPUTS
    return Answer(
        told["values"],
        np.load(outputs, allow_pickle=False) if outputs.is_file() else None,
        {path.name: path.read_bytes() for path in kept(folder)},
    )
