"""What training channels towards zero is worth: `python benchmarks/channel_sparsity.py`, then `--write`.

Families on the built-in data, three seeds that were named beforehand: the accuracy of the pruned network before any
recovery, with channel sparsity in front of the prune, without, and after as much training without a penalty. A
line of JSON a result: what is there is not done again. `--overhead` measures what the penalty adds to a training step.
"""

from __future__ import annotations

import copy
import json
import statistics
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from marks import write_between
from prune_criteria import Said, Subject, opened

from edgekit.data.batching import batches
from edgekit.graph.channels import channel_graph
from edgekit.graph.trace import trace
from edgekit.model import Model
from edgekit.recipe import PruneOptions, RecoverOptions, SparsifyOptions
from edgekit.stages import RejectedError, stage
from edgekit.stages.shrinkage import GroupLasso, Groups

FAMILIES = ("mobilenetv2", "shufflenetv2-x0.5", "ghostnet")
SEEDS = (0, 1, 2)
EPOCHS, RATE = 8, 0.02
PRUNE = PruneOptions(kind="prune", macs=0.5)
WAYS: Mapping[str, SparsifyOptions | RecoverOptions | None] = {
    "pruned": None,
    "trained as long, pruned": RecoverOptions(kind="recover", epochs=EPOCHS, learning_rate=RATE),
    "growing, pruned": SparsifyOptions(kind="sparsify", pattern="channel", epochs=EPOCHS, learning_rate=RATE),
    "batch-norm, pruned": SparsifyOptions(
        kind="sparsify", pattern="channel", penalty="batch-norm", epochs=EPOCHS, learning_rate=RATE
    ),
}
STEPS = 12


def study(family: str, seed: int) -> Iterator[dict[str, Any]]:
    """A row a way, accuracies on the test split."""
    subject = opened(family, seed, Said())
    key = {"family": family, "seed": seed, "whole": subject.accuracy(subject.model)}
    context = replace(subject.context, next_prune=PRUNE)
    for way, options in WAYS.items():
        try:
            ready = subject.model if options is None else stage(options).apply(subject.model, context)
            pruned = stage(PRUNE).apply(ready, context)
        except RejectedError as error:
            yield {**key, "way": way, "failed": str(error)}
            continue
        yield {**key, "way": way, "ready": subject.accuracy(ready), "pruned": subject.accuracy(pruned)}


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A row a family, a column a way: the mean over seeds, and the least of them."""
    yield "| network (whole) | " + " | ".join(WAYS) + " |"
    yield "|---|" + "---|" * len(WAYS)
    for family in FAMILIES:
        own = [row for row in rows if row["family"] == family]
        cells = [_cell([row for row in own if row["way"] == way]) for way in WAYS]
        yield f"| {family} ({100 * np.mean([row['whole'] for row in own]):.1f}) | {' | '.join(cells)} |"


def _cell(rows: Sequence[dict[str, Any]]) -> str:
    reached = [100 * row["pruned"] for row in rows if "pruned" in row]
    if len(reached) < len(rows):
        return f"fails: {next(row['failed'] for row in rows if 'failed' in row)}"
    return f"{np.mean(reached):.1f} % ({min(reached):.1f} at least)"


def overhead(subject: Subject) -> str:
    """Medians of a training step and of the penalty behind it, in milliseconds."""
    model, train = subject.model, subject.job.data.train
    assert train is not None
    module = copy.deepcopy(model.module).train()
    channels = channel_graph(trace(module, model.input_shape))
    names = torch.cat([group.classes for group in channels.prunable])
    groups = Groups(module, channels.slots, names)
    penalty = GroupLasso(groups, groups.norms(), 1e-6)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4)
    images, targets = next(iter(batches(train, 64, rng=np.random.default_rng(0), augment=True)))
    steps, penalties = [], []
    for step in range(STEPS):
        start = time.perf_counter()
        loss = torch.nn.functional.cross_entropy(module(torch.from_numpy(images)), torch.from_numpy(targets))
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        between = time.perf_counter()
        penalty(step + 1, STEPS)
        steps.append(1000 * (between - start))
        penalties.append(1000 * (time.perf_counter() - between))
    whole, added = statistics.median(steps), statistics.median(penalties)
    return f"{_named(model)}: a step {whole:.1f} ms, the penalty {added:.2f} ms: {added / whole:.1%}"


def _named(model: Model) -> str:
    return f"{model.name} at {model.input_shape[-1]}"


def main(
    *,
    family: Annotated[list[str] | None, typer.Option()] = None,
    results: Annotated[Path, typer.Option()] = Path("runs/channel-sparsity.jsonl"),
    page: Annotated[Path, typer.Option()] = Path("docs/pruning.md"),
    write: Annotated[bool, typer.Option(help="Put the table into the page, and train nothing")] = False,
    measure: Annotated[bool, typer.Option("--overhead", help="Time training steps instead")] = False,
) -> None:
    """Do what the results lack of these families (all, if none is named)."""
    if measure:
        print(overhead(opened("mobilenetv2", 0, Said())))
        return
    results.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    if write:
        text = "\n".join(table(rows))
        write_between(page, "channel-sparsity", text)
        print(text)
        return
    done = {(row["family"], row["seed"]) for row in rows}
    for name in family or FAMILIES:
        for seed in SEEDS:
            found = list(study(name, seed)) if (name, seed) not in done else []
            with results.open("a") as file:
                file.writelines(json.dumps(row) + "\n" for row in found)
            for row in found:
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    typer.run(main)
