"""Requests for whole runs that are small: a narrow MobileNetV1 at 32×32, a few epochs.

Exporting takes most of their time, so the network is the one with the fewest layers of all that have what a run meets:
depthwise and pointwise convolutions, batch norms, a linear head.
"""

from __future__ import annotations

from pathlib import Path

from edgekit.request import Request

MODEL, WIDTH, WEIGHTED = "mobilenetv1", 0.5, 28
"""The network, and how many convolutions and linear layers it has."""
STAGES = """
[[stages]]
kind = "sparsify"
pattern = "target"

[[stages]]
kind = "prune"
macs = 0.6

[[stages]]
kind = "recover"
epochs = 4

[[stages]]
kind = "quantize"
method = "{method}"
qat_epochs = 1
calibration_samples = 64
"""
HEAD = 'id = "{id}"\ntitle = "small"\n[train]\nepochs = 8\n'


def recipe(folder: Path, *, drop: float = 100, method: str = "ptq", stages: str = STAGES) -> str:
    path = folder / "small.toml"
    body = stages.format(method=method) if "{method}" in stages else stages
    path.write_text(f"{HEAD.format(id='small')}{body}\n[budget]\naccuracy_drop = {drop}\n")
    return str(path)


def request(folder: Path, *, target: str = "jetson", **options: object) -> Request:
    values: dict[str, object] = {
        "recipe": None,
        "out": folder / "run",
        "input_size": 32,
        "width": WIDTH,
        "threads": 1,
    }
    values |= options
    values["recipe"] = values["recipe"] or recipe(folder)
    return Request(model=MODEL, target=target, **values)  # type: ignore[arg-type]
