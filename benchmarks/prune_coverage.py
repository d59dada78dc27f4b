"""Every network of timm, torchvision and the zoo, pruned and proven: `make bench-prune`.

    python benchmarks/prune_coverage.py [--only 'timm:resnet*'] [--max-params 60e6] [--jobs 2]

Each network runs in a process of its own (`prune_network.py`) with a limit on time and memory; what one left in
`runs/prune-coverage` is not run again, so that the whole can be stopped and continued. Then the table is written.
"""

from __future__ import annotations

import fnmatch
import json
import os
import subprocess
import sys
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Annotated, Any

import typer

from edgekit import files
from edgekit.units import human_count

CHILD = Path(__file__).with_name("prune_network.py")
SOURCES = ("zoo", "torchvision", "timm")
HEAD = (
    "| network | input | params | MACs | result | must stay, of channels | why |",
    "|---|---|---|---|---|---|---|",
)

PAGE = """# Which networks can be pruned

`make bench-prune` ran {count} of the {total} networks that timm, torchvision and the zoo list, with random weights: \
{said}; {graphs} of those pruned hold sizes in their forward and were pruned as exported graphs, {any_batch} of them \
for any number of pictures.

Each was asked for half of its multiply-accumulates, or what is in reach of 75 and 90 %. *Exact to* is the largest \
relative difference, in float64, from the original with the removed channels masked. *As its graph*: the network's \
exported graph took its place. *Must stay* counts channels that nothing may remove, the outputs among them. Networks \
of more than {max_params:g} parameters were skipped.
"""


def names() -> list[str]:
    """`source:name` of every network that can be imported here."""
    found: list[str] = []
    for source in SOURCES:
        done = subprocess.run(
            [sys.executable, str(CHILD), source], capture_output=True, text=True, check=False
        )
        if done.returncode:
            print(f"{source} is left out: {_last_line(done)}", file=sys.stderr)
        else:
            found.extend(f"{source}:{name}" for name in json.loads(done.stdout.splitlines()[-1]))
    return found


def _last_line(done: subprocess.CompletedProcess[str]) -> str:
    return (done.stderr.strip().splitlines() or [f"exit status {done.returncode}"])[-1]


def result(runs: Path, name: str) -> Path:
    """Where the row of a network is kept."""
    return runs / f"{name.replace(':', '-').replace('/', '_')}.json"


def examine(name: str, runs: Path, options: tuple[str, ...], seconds: float) -> dict[str, Any]:
    """The row of a network, from an earlier run where there is one."""
    source, _, model = name.partition(":")
    path = result(runs, name)
    if path.is_file():
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    row = {"source": source, "name": model} | _child([source, model, *options], seconds)
    files.write_json(path, row)
    print(f"{row['verdict']:8} {name}  {row.get('reason', '')[:120]}", file=sys.stderr)
    return row


def _child(arguments: list[str], seconds: float) -> dict[str, Any]:
    command = [sys.executable, str(CHILD), *arguments]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=seconds, check=False, env=environment
        )
    except subprocess.TimeoutExpired:
        return {"verdict": "timeout", "reason": f"not done after {seconds:g} s"}
    if done.returncode:
        return {"verdict": "crashed", "reason": _last_line(done)}
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    macs, kept = "", ""
    if "macs_before" in row:
        macs = human_count(row["macs_before"])
        kept = f"{sum(row['frozen'].values()):,} of {row['channels']:,}"
    proof, why = row["verdict"], row.get("reason", "")
    if proof == "pruned":
        macs += f" → {human_count(row['macs_after'])}"
        proof = f"exact to {row['difference']:.0e}" + (", as its graph" if row["rewritten"] else "")
        proof += " for one picture" if row.get("one_picture") else ""
        why = "; ".join(reason for reason in row["frozen"] if reason != "network output")[:160]
    size = "×".join(map(str, row.get("input_shape", ())[2:]))
    params = human_count(row["params"]) if "params" in row else ""
    return f"| {row['source']}:{row['name']} | {size} | {params} | {macs} | {proof} | {kept} | {_cell(why)} |"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def page(rows: list[dict[str, Any]], total: int, max_params: float) -> str:
    """The Markdown page."""
    counts = Counter(row["verdict"] for row in rows)
    graphs = sum(bool(row.get("rewritten")) for row in rows)
    any_batch = sum(bool(row.get("rewritten")) and row.get("one_picture") == "" for row in rows)
    said = ", ".join(f"{count} {verdict}" for verdict, count in counts.most_common())
    text = PAGE.format(
        count=len(rows), total=total, said=said, graphs=graphs, any_batch=any_batch, max_params=max_params
    )
    return "\n".join((text, *HEAD, *map(line, rows), ""))


def main(
    *,
    only: Annotated[
        list[str] | None, typer.Option(help="Patterns of `source:name`; repeat for more.")
    ] = None,
    max_params: Annotated[float, typer.Option()] = 60e6,
    memory_bytes: Annotated[float, typer.Option(help="Of one process.")] = 12e9,
    seconds: Annotated[float, typer.Option(help="For one network.")] = 600,
    jobs: Annotated[int, typer.Option(min=1)] = 2,
    table_only: Annotated[bool, typer.Option("--table-only", help="Of what has run; run nothing.")] = False,
    runs: Annotated[Path, typer.Option()] = Path("runs/prune-coverage"),
    out: Annotated[Path, typer.Option()] = Path("docs/prune-coverage.md"),
) -> None:
    """Run what has not been run, then write the table."""
    every = names()
    chosen = [name for name in every if any(fnmatch.fnmatch(name, pattern) for pattern in only or ["*"])]
    if table_only:
        chosen = [name for name in chosen if result(runs, name).is_file()]
    options = ("--max-params", f"{max_params:g}", "--memory-bytes", f"{memory_bytes:g}")
    with ThreadPoolExecutor(jobs) as pool:
        rows = list(pool.map(lambda name: examine(name, runs, options, seconds), chosen))
    files.write_text(out, page(rows, len(every), max_params))
    print(f"{len(rows)} networks: {out}", file=sys.stderr)


if __name__ == "__main__":
    typer.run(main)
