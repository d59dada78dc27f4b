"""INT8 by edgekit and by its peers, side by side: `python benchmarks/int8.py`, then `int8_table.py` for its tables.

The same trained networks go through edgekit's quantizer, NNCF's, ONNX Runtime's and AI Edge's, with the same pictures
to calibrate on, each in a process of its own; what comes out runs wherever its file goes, beside the best float file of
each runtime. Accuracy is that of files on the digits' test split, baselines as `compress` trains them, three seeds that
were named beforehand; latency that of the same families at 224×224 with random weights. A line of JSON a result: what
is there is not done again, so a study can be cut off, and split by `--family`, `--seed` and `--only`. A file that
crashes or hangs its runtime is a result too. Whether ours is within a few percent of the fastest other file is more
than measuring each alone can tell: those two run once more, by turns, as the latency gate has it. NNCF lies in
`.tools/nncf` (`make .tools/nncf`). Latency wants a quiet machine.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Annotated, Literal

import typer
from int8_files import FAMILIES, FILES, LARGE, NNCF, SAMPLES, Subject, written
from int8_rows import OURS, Row, fastest_rival
from prune_criteria import SEEDS, Said

from edgekit.bench import Candidate, Failure, Protocol, compare, float_candidates, predict_split
from edgekit.data.split import Split
from edgekit.devices import HERE, open_device
from edgekit.errors import MeasurementError
from edgekit.gate.pairs import measured_pairs
from edgekit.metrics import metric_of
from edgekit.model import Task
from edgekit.parity import Array, sqnr_db

PROTOCOL = Protocol(blocks=7, min_seconds=0.5, max_seconds=2.0)
PAIRS = 16
"""Of processes, one of ours and one of the fastest other file."""
Kind = Literal["file", "accuracy", "latency", "pairs", "shipped"]


def candidates(subject: Subject, runtime: str) -> list[Candidate]:
    """Every file that goes into a runtime, by its quantizer's name; float in every precision that runs here."""
    found: list[Candidate] = []
    for file in FILES:
        artifact = subject.artifact(file) if runtime in file.runtimes else None
        if artifact is None:
            continue
        if file.quantizer == "float":
            rivals = float_candidates(artifact, runtime, open_device(HERE))
            found += [replace(rival, name=f"float {rival.name}") for rival in rivals]
        else:
            found.append(Candidate(file.quantizer, artifact, runtime))
    return found


def tallies(task: Task, outputs: Array, split: Split) -> dict[str, list[int]]:
    """For each picture, hits and of how many: right answers, or the pixels of digits' intersection and union."""
    truth = split.targets
    assert truth is not None
    if task == "classification":
        right = outputs.argmax(axis=1) == truth
        return {"hits": right.astype(int).tolist(), "of": [1] * len(right)}
    answers, there = outputs[:, 0] > 0, truth > 0
    return {
        "hits": (answers & there).sum(axis=(1, 2)).tolist(),
        "of": (answers | there).sum(axis=(1, 2)).tolist(),
    }


def accuracies(subject: Subject, runtime: str, done: set[str]) -> Iterator[Row]:
    """A row a file: how right it is on the test split in its runtime, and how near to the float file there."""
    wanted = candidates(subject, runtime)
    if all(candidate.name in done for candidate in wanted):
        return
    job = subject.job
    split, reference = job.data.test, None
    assert split is not None
    for candidate in wanted:
        row: Row = {"quantizer": candidate.name, "runtime": runtime}
        try:
            outputs = predict_split(
                candidate.artifact, runtime, split, open_device(HERE), options=candidate.options
            )
        except MeasurementError as error:
            yield row | {"failed": error.what}
            continue
        reference = outputs if reference is None else reference
        row["accuracy"] = metric_of(job.entry.task).score(outputs, split.targets).value  # type: ignore[arg-type]
        row["fidelity_db"] = round(sqnr_db(reference, outputs), 2)
        yield row | tallies(job.entry.task, outputs, split)


def latencies(subject: Subject, runtime: str, threads: int, protocol: Protocol) -> Iterator[Row]:
    """A row a file, all measured side by side: how long it takes, and what ran on integers."""
    wanted = candidates(subject, runtime)
    measured = compare(wanted, open_device(HERE), threads=threads, protocol=protocol, progress=Said())
    for name, found in measured.items():
        row: Row = {"quantizer": name, "runtime": runtime, "threads": threads}
        if isinstance(found, Failure):
            yield row | {"failed": found.reason}
            continue
        yield row | {
            "p50_ms": found.p50_ms,
            "integer": found.executed.integer_operators,
            "float": found.executed.float_operators,
            "operators": dict(found.executed.operators),
            "unsteady": list(found.unsteady),
        }


def pairs(subject: Subject, runtime: str, threads: int, measured: list[Row]) -> Iterator[Row]:
    """A row: how many times the latency of the fastest other file ours has, pair by pair."""
    rival = fastest_rival({row["quantizer"]: row for row in measured})
    if rival is None:
        return
    sides = {candidate.name: candidate for candidate in candidates(subject, runtime)}
    row: Row = {"quantizer": OURS, "rival": rival, "runtime": runtime, "threads": threads}
    yield row | by_turns(sides[rival], sides[OURS], threads)


def by_turns(rival: Candidate, ours: Candidate, threads: int) -> Row:
    """How many times the rival's latency ours has, pair by pair, or why that is not known."""
    endless = measured_pairs(rival, ours, open_device(HERE), threads=threads)
    try:
        return {"ratios": [math.exp(pair.log_ratio("p50")) for pair in islice(endless, PAIRS)]}
    except MeasurementError as error:
        return {"failed": error.what}


class Results:
    """The lines that are there, and those that come."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.parent.mkdir(parents=True, exist_ok=True)
        self.rows: list[Row] = (
            [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []
        )

    def of(self, kind: Kind, subject: Subject, **wanted: object) -> list[Row]:
        wanted |= {"kind": kind, **subject.key}
        return [row for row in self.rows if all(row.get(name) == value for name, value in wanted.items())]

    def add(self, kind: Kind, subject: Subject, row: Row) -> None:
        row = {"kind": kind, **subject.key, **row}
        self.rows.append(row)
        with self.path.open("a") as stream:
            stream.write(json.dumps(row) + "\n")
        shown = {
            name: value for name, value in row.items() if name not in ("hits", "of", "ratios", "operators")
        }
        print(json.dumps(shown), flush=True)


def make_files(subject: Subject, results: Results) -> None:
    """Files that no line tells of, and those that a line tells of but are gone."""
    subject.prepared()
    for file in FILES:
        known = results.of("file", subject, method=file.method)
        if not known or ("failed" not in known[0] and subject.artifact(file) is None):
            row = {"quantizer": file.quantizer, "method": file.method, **written(subject, file)}
            if not known:
                results.add("file", subject, row)


def study(
    subject: Subject, results: Results, runtimes: Sequence[str], threads: int, protocol: Protocol
) -> None:
    for runtime in runtimes:
        if subject.pixels == LARGE:
            where = {"runtime": runtime, "threads": threads}
            if not results.of("latency", subject, **where):
                for row in latencies(subject, runtime, threads, protocol):
                    results.add("latency", subject, row)
            if not results.of("pairs", subject, **where):
                for row in pairs(subject, runtime, threads, results.of("latency", subject, **where)):
                    results.add("pairs", subject, row)
            continue
        done = {row["quantizer"] for row in results.of("accuracy", subject, runtime=runtime)}
        for row in accuracies(subject, runtime, done):
            if row["quantizer"] not in done:
                results.add("accuracy", subject, row)


def main(
    family: Annotated[list[str] | None, typer.Option(help=", ".join(FAMILIES))] = None,
    seed: Annotated[list[int] | None, typer.Option()] = None,
    runtime: Annotated[list[str] | None, typer.Option()] = None,
    only: Annotated[str, typer.Option(help="accuracy or latency")] = "",
    threads: Annotated[int, typer.Option(help="of latency")] = 1,
    *,
    samples: Annotated[int, typer.Option(help="pictures to calibrate on")] = SAMPLES,
    make: Annotated[
        bool, typer.Option(help="what files lack; else those are measured that are there")
    ] = True,
    quick: Annotated[bool, typer.Option(help="one network, one seed, short blocks")] = False,
    results: Annotated[Path, typer.Option()] = Path("runs/int8.jsonl"),
) -> None:
    """Do what the results lack of these families, seeds and runtimes (all, if none is named)."""
    if only not in ("", "accuracy", "latency"):
        raise typer.BadParameter("--only accuracy or --only latency")
    if make and not (NNCF / "nncf").is_dir():
        raise typer.BadParameter(f"{NNCF} holds no NNCF: make {NNCF}")
    protocol = PROTOCOL
    if quick:
        family, seed = family or ["shufflenetv2-x0.5"], seed or [0]
        results, protocol = results.with_suffix(".quick.jsonl"), replace(PROTOCOL, blocks=1)
    known, folder = Results(results), results.with_suffix("")
    runtimes = runtime or ["openvino", "onnxruntime", "litert"]
    for name in family or FAMILIES:
        sizes = [] if only == "latency" else [(FAMILIES[name], number) for number in seed or SEEDS]
        sizes += [] if only == "accuracy" else [(LARGE, SEEDS[0])]
        for pixels, number in sizes:
            place = folder / f"{name}-{pixels}-{number}-{samples}"
            subject = Subject(name, number, pixels, samples, place)
            if make:
                make_files(subject, known)
            study(subject, known, runtimes, threads, protocol)


if __name__ == "__main__":
    typer.run(main)
