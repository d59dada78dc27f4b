"""Learned rounding reaches every file: its integers are those that AdaRound decided, not the nearest again."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from exporting import exported, quantized
from small_networks import Residual, model_of, pictures

from edgekit.exporters import weights_in
from edgekit.quantizer import ptq
from edgekit.quantizer.ptq import Methods, quantize
from edgekit.quantizer.reference import quantized_graph
from edgekit.target import load_target

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.model import Model


def integers(model: Model) -> dict[str, np.ndarray[Any, Any]]:
    buffers = dict(quantized_graph(model).named_buffers())
    weights = {name: value for name, value in buffers.items() if name.endswith(".weight")}
    return {name.removesuffix(".weight"): value.numpy() for name, value in weights.items()}


@pytest.mark.parametrize("target", ["host", "android"])
def test_the_file_holds_the_integers_that_were_decided(
    target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ptq, "_ENOUGH", -math.inf)  # kept, whether it helps so small a network or not
    model, methods = model_of(Residual), Methods(rounding_steps=60)
    found = quantize(model, load_target(target).int8, [pictures(64)], methods)
    assert found.quantization.method == "adaround"
    rounded = replace(model, module=found.module, quantization=found.quantization)
    decided, nearest = integers(rounded), integers(quantized(Residual, target))
    assert sum(int((decided[name] != nearest[name]).sum()) for name in decided) > 50
    stored = weights_in(exported(rounded, target, tmp_path))
    assert stored.keys() == decided.keys()
    assert [name for name in stored if not np.array_equal(stored[name], decided[name])] == []
