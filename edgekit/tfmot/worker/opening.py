"""A Keras network from a file, or from a function of the user's."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np

from .keras import keras as keras2
from .refused import Refused

SIDE = 64
"""Of the pictures that a network of any size is tried on."""


def opened(job: dict[str, Any]) -> Any:
    """The network of a vetted `.keras` file, whose layers are all Keras's own; or what `module:function` gives."""
    if "factory" in job:
        return _made(job)
    try:
        if job["keras"] >= 3:
            import keras as keras3

            return keras3.saving.load_model(job["path"], compile=False, safe_mode=True)
        return keras2.models.load_model(job["path"], compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError, AttributeError) as error:
        raise Refused(f"Keras cannot read {job['path']}: {_first_line(error)}") from error


def known(model: Any) -> tuple[Any, Any]:
    """Pictures (4, H, W, C) and what the network gives for them."""
    shape = [side or SIDE for side in model.inputs[0].shape[1:]]
    inputs = np.random.default_rng(0).standard_normal((4, *shape)).astype(np.float32)
    return inputs, np.asarray(model(inputs, training=False))


def _made(job: dict[str, Any]) -> Any:
    import keras as keras3

    module, _, function = job["factory"].partition(":")
    sys.path.insert(0, job["folder"])
    try:
        make = getattr(importlib.import_module(module), function)
        model = make(**job["arguments"])
    except Exception as error:  # whatever a user's own code raises
        raise Refused(f"{job['factory']} failed: {type(error).__name__}: {_first_line(error)}") from error
    if not isinstance(model, keras2.Model | keras3.Model):
        raise Refused(f"{job['factory']} gave a {type(model).__name__}, no Keras model")
    return model


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), "")
