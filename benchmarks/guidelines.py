"""ShuffleNet V2's four experiments remade here: `python benchmarks/guidelines.py [--quick] [--runtime openvino]...`.

Ma et al. 2018 (arXiv:1807.11164), tables 1 to 4: the ratio of widths at equal MACs, groups, fragments, element-wise
operators, at the widths of their ARM column, batch 1, 56×56. Each table's networks take turns on this machine, in
clean processes; Spearman's rank correlation compares the order of their speeds with the order that the paper measured
on ARM. It needs a quiet machine; `--quick` only tries that it runs.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from scipy.stats import spearmanr
from torch import Tensor, nn

from edgekit import runtimes
from edgekit.bench import Candidate, Failure, Protocol, compare
from edgekit.devices import open_device
from edgekit.exporters import export
from edgekit.graph.cost import cost
from edgekit.model import Model, Preprocessing, Source
from edgekit.target import load_target

TARGETS = {"openvino": "intel-cpu", "onnxruntime": "host", "litert": "android"}
DEPTH, SIDE = 10, 56
QUICK_DEPTH, QUICK_SIDE = 2, 14
THREADS = 1
PATIENT = Protocol(blocks=10)
BRIEF = Protocol(blocks=1, warmup_seconds=0.01, min_seconds=0.02, max_seconds=0.2, min_samples=5)


class Parallel(nn.Module):
    """Convolutions on the same input, added."""

    def __init__(self, channels: int, paths: int) -> None:
        super().__init__()
        self.paths = nn.ModuleList(nn.Conv2d(channels, channels, 1) for _ in range(paths))

    def forward(self, x: Tensor) -> Tensor:
        total: Tensor = self.paths[0](x)
        for path in list(self.paths)[1:]:
            total = total + path(x)
        return total


class Bottleneck(nn.Module):
    """1×1, 3×3, 1×1, with or without activations and shortcut."""

    def __init__(self, channels: int, *, relu: bool, shortcut: bool) -> None:
        super().__init__()
        self.layers = nn.Sequential()
        for kernel in (1, 3, 1):
            self.layers.append(nn.Conv2d(channels, channels, kernel, padding=kernel // 2))
            if relu:
                self.layers.append(nn.ReLU())
        self.shortcut = shortcut

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layers(x)
        return x + y if self.shortcut else y


@dataclass(frozen=True)
class Variant:
    """One row of a table; rows stand in the order of the paper's speeds on ARM, the fastest first."""

    name: str
    channels: int
    block: Callable[[], nn.Module]


@dataclass(frozen=True)
class Table:
    title: str
    variants: tuple[Variant, ...]


def widths(first: int, second: int) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(nn.Conv2d(first, second, 1), nn.Conv2d(second, first, 1))


def series(channels: int, length: int) -> Callable[[], nn.Module]:
    return lambda: nn.Sequential(*(nn.Conv2d(channels, channels, 1) for _ in range(length)))


def bottleneck(*, relu: bool, shortcut: bool) -> Variant:
    name = f"{'ReLU' if relu else 'no ReLU'}, {'shortcut' if shortcut else 'no shortcut'}"
    return Variant(name, 32, lambda: Bottleneck(32, relu=relu, shortcut=shortcut))


TABLES = (
    Table(
        "1: widths c1:c2",
        tuple(
            Variant(f"{one}:{two}", one, widths(one, two))
            for one, two in ((32, 32), (22, 44), (13, 78), (9, 108))
        ),
    ),
    Table(
        "2: groups",
        tuple(
            Variant(f"g = {groups}", width, lambda g=groups, c=width: nn.Conv2d(c, c, 1, groups=g))  # type: ignore[misc]
            for groups, width in ((1, 64), (2, 90), (4, 128), (8, 184))  # 180 would not divide by 8
        ),
    ),
    Table(
        "3: fragments",
        (
            Variant("1", 64, series(64, 1)),
            Variant("2 in series", 45, series(45, 2)),
            Variant("4 in series", 32, series(32, 4)),
            Variant("4 in parallel", 32, lambda: Parallel(32, 4)),
            Variant("2 in parallel", 45, lambda: Parallel(45, 2)),
        ),
    ),
    Table(
        "4: element-wise operators",
        (
            bottleneck(relu=False, shortcut=False),
            bottleneck(relu=True, shortcut=False),
            bottleneck(relu=False, shortcut=True),
            bottleneck(relu=True, shortcut=True),
        ),
    ),
)


def network(variant: Variant, depth: int, side: int) -> Model:
    channels = variant.channels
    return Model(
        name=variant.name,
        module=nn.Sequential(*(variant.block() for _ in range(depth))).eval(),
        input_shape=(1, channels, side, side),
        task="segmentation",
        preprocessing=Preprocessing(height=side, width=side, mean=(0.0,) * channels, std=(1.0,) * channels),
        labels=tuple(map(str, range(channels))),
        source=Source(name=variant.name, num_classes=channels),
    )


def measured(
    table: Table, runtime: str, *, quick: bool, folder: Path
) -> tuple[list[float], list[tuple[int, int]]]:
    """Median milliseconds of each variant, and what each costs: MACs and bytes of memory access."""
    depth, side = (QUICK_DEPTH, QUICK_SIDE) if quick else (DEPTH, SIDE)
    options = {"precision": "f32"} if "precision" in runtimes.find(runtime).options else {}
    candidates, costs = [], []
    for place, variant in enumerate(table.variants):
        model = network(variant, depth, side)
        inputs = np.random.default_rng(0).standard_normal(model.input_shape).astype(np.float32)
        target = folder / str(place)
        target.mkdir()
        artifact = export(model, load_target(TARGETS[runtime]), target, inputs)
        candidates.append(Candidate(variant.name, artifact, runtime, options))
        spent = cost(model.module, model.input_shape)
        costs.append((spent.macs, spent.memory_access_bytes))
    outcomes = compare(
        candidates, open_device("local"), threads=THREADS, protocol=BRIEF if quick else PATIENT
    )
    times = []
    for name, outcome in outcomes.items():
        if isinstance(outcome, Failure):
            raise SystemExit(f"{name} in {runtime}: {outcome.reason}")
        times.append(outcome.p50_ms)
    return times, costs


def agreement(times: list[float]) -> float:
    """Spearman's rank correlation of measured times with the paper's order."""
    return float(spearmanr(times, range(len(times))).statistic)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument(
        "--quick", action="store_true", help="tiny networks, few samples: figures mean nothing"
    )
    parser.add_argument("--runtime", action="append", choices=TARGETS, help="default: all three")
    options = parser.parse_args()
    for runtime in options.runtime or TARGETS:
        for table in TABLES:
            with TemporaryDirectory() as name:
                times, costs = measured(table, runtime, quick=options.quick, folder=Path(name))
            print(f"\n{table.title}, {runtime}: rank correlation {agreement(times):.2f}")
            for variant, time_ms, (macs, moved) in zip(table.variants, times, costs, strict=True):
                print(
                    f"  {variant.name:22} {time_ms:8.3f} ms  {macs / 1e6:6.2f} M MACs  {moved / 1e6:6.2f} MB"
                )


if __name__ == "__main__":
    main()
