"""What an app waits for: `python benchmarks/app_gap.py RUN [--picture photo.jpg] [--pairs 8]`.

The same `.tflite` three times, by turns in fresh processes: LiteRT's own benchmark tool, edgekit's loop, and the path
of an app, which decodes a picture, resizes and normalises it as the evaluator does, and infers. Medians; side by side
they say how much of the wait no benchmark shows. The picture is a drawn 1280×960 JPEG where none is given.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from fidelity import benchmark_litert_model
from session_loop import WARMUP

from edgekit.artifact import ArtifactFolder, load_artifact
from edgekit.bench import Candidate, Protocol, measure
from edgekit.data.pictures import decode
from edgekit.data.split import normalise
from edgekit.devices import open_device
from edgekit.pipeline.browsing import photo
from edgekit.runtimes import litert_cpu

RUNS = 100
STEPS = ("decode, resize", "normalise", "infer")


def app_path(artifact: ArtifactFolder, picture: bytes, threads: int) -> dict[str, float]:
    """Medians of an app's steps, in milliseconds, and of all together; in this process."""
    ready = artifact.manifest.preprocessing
    session = litert_cpu.Session(str(artifact.model_path), threads, {})
    times: list[list[float]] = []
    for _ in range(WARMUP + RUNS):
        marks = [time.perf_counter()]
        pixels = decode(picture, height=ready.height, width=ready.width, channels=ready.channels)
        marks.append(time.perf_counter())
        images = normalise(pixels[None], ready)
        marks.append(time.perf_counter())
        session.run(images)
        marks.append(time.perf_counter())
        times.append([1e3 * (after - before) for before, after in pairwise(marks)])
    kept = np.array(times[WARMUP:])
    found = dict(zip(STEPS, np.median(kept, axis=0).tolist(), strict=True))
    return found | {"app": float(np.median(kept.sum(axis=1)))}


def table(run: str, rows: dict[str, list[float]], threads: int) -> str:
    """Markdown: a row a way, with its ratio to the benchmark tool's."""
    whole = {name: float(np.median(values)) for name, values in rows.items()}
    tool = whole["LiteRT's benchmark tool"]
    lines = [
        f"{run}, {threads} threads, {len(rows['app'])} turns",
        "",
        "| way | ms | × the tool |",
        "|---|---|---|",
    ]
    lines += [f"| {name} | {value:.3f} | {value / tool:.2f} |" for name, value in whole.items()]
    return "\n".join(lines)


def main(
    run: Annotated[Path, typer.Argument(help="A run's folder, or its artifact's, that holds a .tflite")],
    *,
    picture: Annotated[Path | None, typer.Option()] = None,
    pairs: Annotated[int, typer.Option()] = 8,
    threads: Annotated[int, typer.Option()] = 1,
    alone: Annotated[bool, typer.Option("--app-path", hidden=True)] = False,
) -> None:
    """Print the table."""
    artifact = load_artifact(run)
    data = picture.read_bytes() if picture else photo()
    if alone:
        print(json.dumps(app_path(artifact, data, threads)))
        return
    candidate, device = Candidate("file", artifact, "litert"), open_device("local")
    protocol = Protocol(blocks=1, warmup_seconds=0.3, min_seconds=0, max_seconds=60, min_samples=RUNS)
    again = [sys.executable, __file__, str(run), "--threads", str(threads), "--app-path"]
    again += ["--picture", str(picture)] if picture else []
    rows: dict[str, list[float]] = {}
    for _ in range(pairs):
        done = subprocess.run(again, capture_output=True, text=True, check=True)
        found = {
            "LiteRT's benchmark tool": benchmark_litert_model(artifact.model_path, threads, RUNS),
            "edgekit's loop": measure(candidate, device, threads=threads, protocol=protocol).p50_ms,
            **json.loads(done.stdout.splitlines()[-1]),
        }
        for name, value in found.items():
            rows.setdefault(name, []).append(value)
    print(table(str(artifact.manifest.model), rows, threads))


if __name__ == "__main__":
    typer.run(main)
