"""What recovery's options are worth: `python benchmarks/recovery.py`, then `recovery_table.py` for its table.

Families on the built-in data, baselines as `compress` trains them, three seeds that were named beforehand; each network
is pruned once as recipes do, and each way to recover it gets the same epochs. A line of JSON a result: what is there is
not done again, so a study can be cut off, and split by `--family` and `--seed`. `--quick` tries one network for one
epoch.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from prune_criteria import SEEDS, Said, opened

from edgekit.recipe import PruneOptions, RecoverOptions
from edgekit.stages import stage

FAMILIES = ("mobilenetv2", "shufflenetv2-x0.5", "ghostnet", "squeezenet1.1")
LEFT = (0.5, 0.15)
"""Shares of the MACs that are left: what recipes ask for, and so little that much is to be won back."""
EPOCHS, RATE = 6, 0.05
WAYS: Mapping[str, Mapping[str, Any]] = {
    "default": {},
    "cosine": {"schedule": "cosine", "warm_up": 0.5},
    "ema 0.9": {"ema": 0.9},
    "ema 0.99": {"ema": 0.99},
    "held out 5 %": {"held_out": 0.05},
    "features 0.3": {"features": 0.3},
    "features 1": {"features": 1.0},
}


def study(family: str, seed: int, epochs: int, wanted: list[tuple[str, float]]) -> Iterator[dict[str, Any]]:
    """A row a result, as they come."""
    subject = opened(family, seed, Said())
    whole = subject.accuracy(subject.model)
    for share in LEFT:
        ways = [way for way, its in wanted if its == share]
        if not ways:
            continue
        pruned = stage(PruneOptions(kind="prune", macs=share)).apply(subject.model, subject.context)
        before = subject.accuracy(pruned)
        for way in ways:
            options = RecoverOptions(kind="recover", epochs=epochs, learning_rate=RATE, **WAYS[way])
            began = time.process_time()
            recovered = stage(options).apply(pruned, subject.context)
            yield {
                "family": family,
                "seed": seed,
                "share": share,
                "way": way,
                "epochs": epochs,
                "seconds": round(time.process_time() - began, 1),
                "whole_test": whole,
                "test_before": before,
                "val_after": recovered.lineage[-1].details["val_accuracy_after"],
                "test_after": subject.accuracy(recovered),
            }


def main(
    family: Annotated[list[str] | None, typer.Option()] = None,
    seed: Annotated[list[int] | None, typer.Option()] = None,
    way: Annotated[list[str] | None, typer.Option(help=", ".join(WAYS))] = None,
    *,
    quick: Annotated[bool, typer.Option(help="one network, one seed, one epoch")] = False,
    results: Annotated[Path, typer.Option()] = Path("runs/recovery.jsonl"),
) -> None:
    """Do what the results lack of these families, seeds and ways (all, if none is named)."""
    torch.set_num_threads(1)
    if quick:
        family, seed, results = (
            family or ["shufflenetv2-x0.5"],
            seed or [0],
            results.with_suffix(".quick.jsonl"),
        )
    epochs = 1 if quick else EPOCHS
    results.parent.mkdir(parents=True, exist_ok=True)
    lines = results.read_text().splitlines() if results.exists() else []
    done = {(row["family"], row["seed"], row["way"], row["share"]) for row in map(json.loads, lines)}
    for name in family or FAMILIES:
        for number in seed or SEEDS:
            every = [(each, share) for each in WAYS if not way or each in way for share in LEFT]
            wanted = [each for each in every if (name, number, *each) not in done]
            for row in study(name, number, epochs, wanted) if wanted else ():
                with results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    typer.run(main)
