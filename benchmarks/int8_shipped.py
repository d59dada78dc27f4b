"""What `compress` ships of the networks of `int8.py`: `python benchmarks/int8_shipped.py`.

`int8.py` measures what quantizers write. `compress` goes on from there, where the target is this machine: operators
that integers make slower go back to float, and where float wins it ships. `--recipe latency-only` does that with the
very weights of the study at 224×224; its file and the fastest other one of the same runtime are measured by turns. Rows
go into the same results, and into a part of the same page (`int8_table.py --part shipped`). Wants what `int8.py --only
latency` has left, and a quiet machine.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer
from int8 import Results, by_turns, candidates
from int8_files import CHECKPOINT, FAMILIES, LARGE, SAMPLES, Subject
from int8_rows import Row, fastest_rival, rows_of
from prune_criteria import SEEDS

from edgekit.artifact import load_artifact
from edgekit.bench import Candidate
from edgekit.report import REPORT

TARGETS = {"openvino": "intel-cpu", "onnxruntime": "host"}
"""Of the runtimes compared those whose target this machine is: elsewhere `compress` times nothing."""


def compressed(subject: Subject, target: str) -> Mapping[str, Any]:
    """The report of the run, which stays beside the study's files and is not done again."""
    run = subject.folder / f"compress-{target}"
    weights = subject.folder / CHECKPOINT / "weights.safetensors"
    command = [str(Path(sys.executable).with_name("edgekit")), "compress", subject.family, "--target", target]
    options = ["--weights", str(weights), "--recipe", "latency-only", "--input-size", str(LARGE)]
    if not (run / REPORT).is_file():
        subprocess.run([*command, *options, "--threads", "1", "--out", str(run), "--resume"], check=True)
    report: Mapping[str, Any] = json.loads((run / REPORT).read_text())
    return report


def shipped(subject: Subject, runtime: str, rival: str) -> Row:
    """What ships, and how many times the latency of the fastest other file it has, pair by pair."""
    report = compressed(subject, TARGETS[runtime])
    artifact = load_artifact(subject.folder / f"compress-{TARGETS[runtime]}" / "artifact")
    options = report["steps"][-1]["details"]["runtime_options"]
    rules = artifact.manifest.int8_rules
    row: Row = {
        "runtime": runtime,
        "threads": 1,
        "rival": rival,
        "precision": "int8" if rules else f"float {options.get('precision', 'f32')}",
        "in_float": len(rules.float_layers) if rules else 0,
        "weighted": report["parity"]["weighted_operators"],
    }
    sides = {candidate.name: candidate for candidate in candidates(subject, runtime)}
    ours = Candidate("shipped", artifact, runtime, options)
    return row | by_turns(sides[rival], ours, threads=1)


def main(
    family: Annotated[list[str] | None, typer.Option(help=", ".join(FAMILIES))] = None,
    results: Annotated[Path, typer.Option()] = Path("runs/int8.jsonl"),
) -> None:
    """Do what the results lack of these families (all, if none is named)."""
    known = Results(results)
    for name in family or FAMILIES:
        place = results.with_suffix("") / f"{name}-{LARGE}-{SEEDS[0]}-{SAMPLES}"
        subject = Subject(name, SEEDS[0], LARGE, SAMPLES, place)
        for runtime in TARGETS:
            cell = {row["quantizer"]: row for row in known.of("latency", subject, runtime=runtime, threads=1)}
            rival = fastest_rival(cell)
            if rival is None:
                raise typer.BadParameter(
                    f"{results} has no latency of {name}: python benchmarks/int8.py --only latency"
                )
            if not rows_of(known.of("shipped", subject, runtime=runtime)):
                known.add("shipped", subject, shipped(subject, runtime, rival))


if __name__ == "__main__":
    typer.run(main)
