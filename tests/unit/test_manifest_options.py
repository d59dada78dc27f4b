"""Options in a shipped file's manifest: those of the runtime in which its readers will open it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from edgekit.devices.local import Local
from edgekit.pipeline.assess import Assessor
from edgekit.pipeline.place import Place
from edgekit.pipeline.ship import manifest_options
from edgekit.target import load_target


def assessor(target: str, runtime: str) -> Assessor:
    goal = load_target(target)
    found: Any = Assessor.__new__(Assessor)
    found.job = SimpleNamespace(target=goal)
    found.place = Place(Local(), runtime, on_target=runtime == goal.runtime)
    found.here = Place(Local(), goal.proxy_runtime, on_target=False)
    return cast("Assessor", found)


@pytest.mark.parametrize(
    ("target", "runtime", "quantized", "measured", "written"),
    [
        ("jetson", "tensorrt", True, {}, {"qdq_optimizer": "0"}),
        ("jetson", "tensorrt", False, {}, {}),
        ("jetson", "onnxruntime", True, {"qdq_optimizer": "0"}, {"qdq_optimizer": "0"}),
        ("intel-cpu", "openvino", False, {"precision": "bf16"}, {"precision": "bf16"}),
    ],
)
def test_they_are_those_of_the_format_s_own_runtime(
    target: str, runtime: str, quantized: bool, measured: dict[str, str], written: dict[str, str]
) -> None:
    quantization = object() if quantized else None
    shipped: Any = SimpleNamespace(
        options=tuple(measured.items()), model=SimpleNamespace(quantization=quantization)
    )
    assert manifest_options(assessor(target, runtime), shipped) == written
