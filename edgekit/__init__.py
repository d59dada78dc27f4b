"""edgekit compresses a vision network for an edge device, exports it, and proves that it still works.

`compress` is the whole run, `load` opens what it left, `profile` says what a network costs.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from edgekit.request import Request

if TYPE_CHECKING:
    from edgekit.pipeline.api import compress
    from edgekit.pipeline.loading import load
    from edgekit.pipeline.profiling import profile

__all__ = ["Request", "compress", "load", "profile"]

_HOMES = {"compress": "pipeline.api", "load": "pipeline.loading", "profile": "pipeline.profiling"}


def __getattr__(name: str) -> Any:
    """The three functions load with what they need: `import edgekit` costs nothing (PEP 562)."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
