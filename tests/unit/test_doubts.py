"""What a run's warnings say of operators that its runtime computed in float."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace
from typing import Any, cast

import pytest
from small_networks import Residual, model_of, pictures

from edgekit.pipeline.doubts import _about_latency
from edgekit.quantizer.calibrate import calibrate
from edgekit.quantizer.mixed import integer_layers, with_floats
from edgekit.target import load_target


def said(in_float: int, meant: int) -> list[str]:
    """Of 12 operators, some computed in float by a proxy, some left in float by the quantizer."""
    target = load_target("android")
    model = model_of(Residual)
    model = replace(model, quantization=calibrate(model, target.int8, [pictures(4)]))
    ran = SimpleNamespace(integer_operators=12 - in_float, float_operators=in_float)
    place = SimpleNamespace(on_target=False, runtime="litert", device=SimpleNamespace(name="a board"))
    job = SimpleNamespace(request=SimpleNamespace(batch=1), target=target)
    shipped = SimpleNamespace(
        profile=SimpleNamespace(executed=ran, unsteady=()),
        model=with_floats(model, list(integer_layers(model))[:meant]),
    )
    told = _about_latency(cast(Any, SimpleNamespace(job=job, place=place, here=None)), cast(Any, shipped))
    return [line for line in told if "in float" in line]


@pytest.mark.parametrize(
    ("in_float", "meant", "told"), [(0, 0, ""), (2, 2, ""), (12, 0, "12 of 12"), (5, 2, "3 of 12")]
)
def test_only_operators_that_should_be_integers_are_a_doubt(in_float: int, meant: int, told: str) -> None:
    lines = said(in_float, meant)
    assert len(lines) == bool(told)
    assert all(f"computed {told} " in line for line in lines)
