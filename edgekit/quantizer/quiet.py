"""What torch and torchao say about their own code stays away from the user."""

from __future__ import annotations

import logging
import warnings
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_NOISY_LOGGERS = (
    "torchao",  # names each of its compiled libraries that was built for another machine
    "torch.utils._pytree",  # deprecations inside torchao
    "torch.onnx._internal.exporter._registration",  # each operator of torchvision, where that is not installed
)
_NOISY_WARNINGS = (
    (FutureWarning, r".*isinstance\(treespec, LeafSpec\)"),  # torch copies its own tree specifications
)


@contextmanager
def quiet_torch() -> Iterator[None]:
    """Silences, inside the block, exactly the messages listed above; errors pass."""
    loggers = [(logger, logger.level) for logger in map(logging.getLogger, _NOISY_LOGGERS)]
    with warnings.catch_warnings():
        for category, message in _NOISY_WARNINGS:
            warnings.filterwarnings("ignore", message=message, category=category)
        try:
            for logger, _ in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in loggers:
                logger.setLevel(level)
