"""The matrix: the cheapest network of every family on five targets, whole runs by the command line.

`make test-matrix` runs it with the targets' own recipes; runs stay in `runs/matrix`, where a matrix that was cut off
goes on and `benchmarks/matrix.py` reads them. One baseline a family is trained, and cached for its other targets.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from edgekit.zoo.entries import CATALOGUE, ENTRIES

RUNS = Path("runs") / "matrix"
TARGETS = ("android", "host", "intel-cpu", "jetson-orin-nano", "raspberry-pi-5")
"""One or two for each format; the other targets get the same files, but for those that take integers alone."""
ENOUGH_DB = 25
LEARNT = {"classification": 0.9, "segmentation": 0.8}
"""What a baseline must reach for its table to mean anything."""
pytestmark = [pytest.mark.matrix, pytest.mark.timeout(3600)]


def cheapest() -> list[str]:
    """One network a family: the one with the fewest multiply-accumulates."""
    entries = ENTRIES.validate_json(CATALOGUE.read_bytes())
    families = sorted({entry.family for entry in entries})
    return [min((e for e in entries if e.family == family), key=lambda e: e.macs).name for family in families]


@pytest.mark.parametrize("network", cheapest())  # varies fastest: two processes seldom want the same baseline
@pytest.mark.parametrize("target", TARGETS)
def test_the_default_recipe_ships(network: str, target: str) -> None:
    folder = RUNS / f"{network}-{target}"
    command = [str(Path(sys.executable).with_name("edgekit")), "compress", network, "--target", target]
    options = ["--threads", "1", "--out", str(folder), "--resume", "--json"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    report = json.loads(done.stdout)
    parity, quantized = report["parity"], report["steps"][-2]
    assert parity["sqnr_db"] >= ENOUGH_DB or parity["first_divergence"]
    assert report["steps"][0]["accuracy"] >= LEARNT[report["model"]["task"]]
    assert report["steps"][-1]["accuracy"] >= report["steps"][0]["accuracy"] - 0.02
    if report["artifact"]["precision"] == "int8":
        rules = json.loads((folder / "artifact" / "manifest.json").read_text())["int8_rules"]
        in_float = len(rules["float_layers"])  # measured faster, or what brought accuracy or the file back
        assert parity["integer_operators_in_file"] + in_float == parity["weighted_operators"] > in_float
    else:  # only a measurement in the target's own runtime turns INT8 down
        assert report["steps"][-1]["latency_ms"]["source"].startswith("measured:")
        assert "faster" in quantized["reason"] or "slower" in quantized["reason"]
