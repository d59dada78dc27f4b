"""Whether the latency that edgekit reports is the one that the runtimes' own tools report.

`python benchmarks/fidelity.py [--model mobilenetv2] [--pairs 20] [--quick]` measures one float file a runtime, in
turns A B B A, each turn in a fresh process: edgekit's protocol, then OpenVINO's `benchmark_app`, LiteRT's
`benchmark_litert_model` and a plain loop over ONNX Runtime's `session.run`. Pairs are neighbours in time; the table
gives the median of their ratios with a bootstrap interval. Wants a quiet machine: it says when that was not so, and
a network of a millisecond or more: `benchmark_app` leaves out the call from Python, `benchmark_litert_model` has
buffers to register, about 0.01 ms each, and both print hundredths of a millisecond.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from scipy.stats import bootstrap
from session_loop import WARMUP

from edgekit.artifact import ArtifactFolder
from edgekit.bench import Candidate, Protocol, disturbance, measure
from edgekit.devices import open_device
from edgekit.devices.child import KEPT_VARIABLES
from edgekit.exporters import export
from edgekit.pipeline.network import new_model, preprocessing_of
from edgekit.target import load_target
from edgekit.zoo import architecture

MARGIN = 0.03
Peer = Callable[[Path, int, int], float]
"""From a model's file, threads and inferences to the median in milliseconds."""


@dataclass(frozen=True)
class Compared:
    """One runtime's pairs of medians, in milliseconds."""

    runtime: str
    peer: str
    ours: tuple[float, ...]
    theirs: tuple[float, ...]
    noise: str

    @property
    def ratios(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        return np.array([own / their for own, their in zip(self.ours, self.theirs, strict=True)])

    @property
    def interval(self) -> tuple[float, float]:
        """95 %, of the median ratio, by the percentile bootstrap over pairs."""
        found = bootstrap(
            (self.ratios,), np.median, method="percentile", n_resamples=9999, rng=np.random.default_rng(0)
        ).confidence_interval
        return float(found.low), float(found.high)

    @property
    def verdict(self) -> str:
        low, high = self.interval
        if low >= 1 - MARGIN and high <= 1 + MARGIN:
            return "agrees"
        return (
            "differs"
            if low > 1 + MARGIN or high < 1 - MARGIN
            else "undecided: more pairs, or a quieter machine"
        )


def benchmark_app(model: Path, threads: int, runs: int) -> float:
    """OpenVINO's. Its latency hint takes all cores; another number of threads needs no hint, one stream."""
    every = threads == len(os.sched_getaffinity(0))
    hints = ["-hint", "latency"] if every else ["-hint", "none", "-nstreams", "1", "-nthreads", str(threads)]
    with TemporaryDirectory() as folder:
        what = ("-m", str(model), "-d", "CPU", "-api", "sync", "-ip", "f32", "-infer_precision", "f32")
        reporting = ("-report_type", "no_counters", "-json_stats", "-report_folder", folder)
        tool = Path(sys.executable).parent / "benchmark_app"
        _run(str(tool), *what, *reporting, "-niter", str(runs), *hints)
        report = json.loads((Path(folder) / "benchmark_report.json").read_text(encoding="utf-8"))
    return float(report["execution_results"]["latency (ms)"])


def benchmark_litert_model(model: Path, threads: int, runs: int) -> float:
    """LiteRT's, which goes through its newer interface (CompiledModel) where edgekit uses the interpreter."""
    with TemporaryDirectory() as folder:
        result = Path(folder) / "result.json"
        numbers = (f"--num_threads={threads}", f"--num_runs={runs}", f"--warmup_runs={WARMUP}")
        tool = ("-m", "ai_edge_litert.tools.benchmark_litert_model")
        _run(sys.executable, *tool, f"--model={model}", f"--result_json={result}", *numbers)
        found = json.loads(result.read_text(encoding="utf-8"))
    return float(found["latency"]["median_ms"])


def session_run(model: Path, threads: int, runs: int) -> float:
    """ONNX Runtime as its own documentation calls it, in a process that loads nothing else, as edgekit's do."""
    script = str(Path(__file__).with_name("session_loop.py"))
    return float(_run(sys.executable, script, str(model), str(threads), str(runs)))


PEERS: dict[str, tuple[str, str, Peer]] = {
    "openvino": ("intel-cpu", "`benchmark_app`", benchmark_app),
    "onnxruntime": ("host", "a loop of `session.run`", session_run),
    "litert": ("android", "`benchmark_litert_model`", benchmark_litert_model),
}
"""Runtime → the target that its file is exported for, and whom it is held to."""


def _run(*command: str) -> str:
    """In the environment that edgekit gives its own processes: variables of runtimes change what runs."""
    kept = {name: os.environ[name] for name in KEPT_VARIABLES if name in os.environ}
    return subprocess.run(command, env=kept, capture_output=True, text=True, check=True).stdout


def compared(runtime: str, artifact: ArtifactFolder, threads: int, pairs: int, runs: int) -> Compared:
    _, name, peer = PEERS[runtime]
    device = open_device("local")
    candidate = Candidate("float", artifact, runtime, {"precision": "f32"} if runtime == "openvino" else {})
    protocol = Protocol(blocks=1, warmup_seconds=0.3, min_seconds=0, max_seconds=60, min_samples=runs)

    def own() -> float:
        return measure(candidate, device, threads=threads, protocol=protocol).p50_ms

    def their() -> float:
        return peer(artifact.model_path, threads, runs)

    before, ours, theirs = device.state(), [], []
    for pair in range(pairs):
        if pair % 2:
            theirs.append(their())
            ours.append(own())
        else:
            ours.append(own())
            theirs.append(their())
        print(f"{runtime} {pair + 1}/{pairs}: {ours[-1]:.3f} / {theirs[-1]:.3f} ms", file=sys.stderr)
    return Compared(runtime, name, tuple(ours), tuple(theirs), disturbance(before, device.state()))


def table(rows: list[Compared]) -> str:
    """Markdown."""
    lines = [
        "| runtime | held to | edgekit p50, ms | theirs, ms | ratio | 95 % | within 3 % |",
        "|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        low, high = row.interval
        lines.append(
            f"| {row.runtime} | {row.peer} | {np.median(row.ours):.3f} | {np.median(row.theirs):.3f} | "
            f"{np.median(row.ratios):.3f} | {low:.3f} to {high:.3f} | {row.verdict} |"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", default="mobilenetv2", help="a network of the zoo")
    parser.add_argument(
        "--runtime", action="append", choices=sorted(PEERS), help="only this one; may be repeated"
    )
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--pairs", type=int, default=20)
    parser.add_argument("--runs", type=int, default=300, help="inferences in one process")
    parser.add_argument("--quick", action="store_true", help="4 pairs of 50 inferences: does it run at all")
    given = parser.parse_args()
    pairs, runs = (4, 50) if given.quick else (given.pairs, given.runs)
    found = architecture(given.model, (), None)
    network = new_model(found, preprocessing_of(found, None))
    inputs = np.random.default_rng(0).standard_normal(network.input_shape).astype(np.float32)
    rows = []
    for runtime in given.runtime or PEERS:
        with TemporaryDirectory() as folder:
            artifact = export(network, load_target(PEERS[runtime][0]), Path(folder), inputs)
            rows.append(compared(runtime, artifact, given.threads, pairs, runs))
    size = "×".join(map(str, network.input_shape[2:]))
    print(f"{network.name} at {size}, f32, {given.threads} threads, {pairs} pairs of {runs} inferences\n")
    print(table(rows))
    for row in rows:
        if row.noise:
            print(f"\nNot a quiet machine ({row.runtime}): {row.noise}.")


if __name__ == "__main__":
    main()
