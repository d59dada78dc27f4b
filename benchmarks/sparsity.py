"""What each pattern costs: `python benchmarks/sparsity.py [--family …]`, then `--write` for docs/sparsity.md.

Families on the built-in data, baselines as `compress` trains them, three seeds that were named beforehand; each method
makes the same share of zeros in the layers that can carry its pattern, with the same epochs of the same training
behind it, or while they come. Beside ours stands PyTorch's own `torch.nn.utils.prune.l1_unstructured`. A line of JSON a
result: what is there is not done again. `--peers` is a run with a table of its own, TF-MOT's `prune_low_magnitude` in
it (docs/tfmot.md says what it needs). `--overhead` measures what holding the zeros adds to a training step.
"""

from __future__ import annotations

import copy
import json
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
from scipy.stats import bootstrap
from torch import nn
from torch.nn.utils import prune

from edgekit.errors import EdgekitError
from edgekit.model import Model
from edgekit.recipe import RecoverOptions, SparsifyOptions, TfmotPruneOptions
from edgekit.stages import RejectedError
from edgekit.stages.recover import Recover
from edgekit.stages.sparsify import Sparsify
from edgekit.stages.sparsity import zero_masks
from edgekit.stages.tfmot import TfmotPrune
from edgekit.tfmot import process

FAMILIES = ("mobilenetv2", "ghostnet", "squeezenet1.1")
SEEDS = (0, 1, 2)
SHARES = (0.5, 0.75, 0.9)
EPOCHS, RATE = 6, 0.05
N_M: Mapping[float, str] = {0.5: "2:4", 0.75: "1:4"}
TORCH, TFMOT = "PyTorch l1_unstructured", "TF-MOT prune_low_magnitude"
BASE = "unstructured"
METHODS: Mapping[str, dict[str, str]] = {
    BASE: {"pattern": "unstructured"},
    "unstructured, taylor": {"pattern": "unstructured", "selection": "taylor"},
    "unstructured, while training": {"pattern": "unstructured", "schedule": "polynomial"},
    "block-4x1, while training": {"pattern": "block-4x1", "schedule": "polynomial"},
    "N:M, while training": {"pattern": "N:M", "schedule": "polynomial"},
    "kernel-4, while training": {"pattern": "kernel-4", "schedule": "polynomial"},
}
PATTERNS, PEERS = (*METHODS, TORCH), (BASE, "unstructured, taylor", TORCH, TFMOT)


def options_of(method: str, share: float) -> SparsifyOptions | None:
    """What a method asks of the stage; None where its pattern has no such share."""
    given: dict[str, Any] = {"kind": "sparsify", **METHODS[method]}
    if given["pattern"] == "N:M":
        if share not in N_M:
            return None
        given["pattern"] = N_M[share]
    elif given["pattern"] == "kernel-4" and share < 5 / 9:
        return None
    else:
        given["sparsity"] = share
    if "schedule" in given:
        given |= {"epochs": EPOCHS, "learning_rate": RATE, "every": 8}
    return SparsifyOptions.model_validate(given)


def sparse(subject: Subject, method: str, share: float) -> Model | None:
    """The network with its zeros, and all the training that it is given."""
    if method == TFMOT:
        return TfmotPrune(tfmot_options(share)).apply(subject.model, subject.context)
    options = options_of(BASE if method == TORCH else method, share)
    if options is None:
        return None
    made = Sparsify(options).apply(subject.model, subject.context)
    if method == TORCH:
        made = replace(made, module=their_zeros(subject.model.module, list(made.sparsity), share))
    if options.schedule != "once":
        return made
    recovery = RecoverOptions(kind="recover", epochs=EPOCHS, learning_rate=RATE)
    return Recover(recovery).apply(made, subject.context)


def tfmot_options(share: float) -> TfmotPruneOptions:
    """Its schedule that is nearest to zeros at once: all are chosen at the first step, and again at the second."""
    return TfmotPruneOptions(
        kind="tfmot-prune",
        sparsity=share,
        schedule="constant",
        end=0.01,
        every=1,
        epochs=EPOCHS,
        learning_rate=RATE,
    )


def their_zeros(module: nn.Module, layers: list[str], share: float) -> nn.Module:
    network = copy.deepcopy(module)
    for name in layers:
        layer = network.get_submodule(name)
        prune.l1_unstructured(layer, "weight", share)  # type: ignore[no-untyped-call]
        prune.remove(layer, "weight")  # type: ignore[no-untyped-call]
    return network


def study(family: str, seed: int, wanted: list[tuple[str, float]]) -> Iterator[dict[str, Any]]:
    subject = opened(family, seed, Said())
    whole = subject.accuracy(subject.model)
    for method, share in wanted:
        key = {"family": family, "seed": seed, "method": method, "share": share, "epochs": EPOCHS}
        try:
            found = sparse(subject, method, share)
        except (RejectedError, EdgekitError) as error:
            yield key | {"failed": str(error)}
            continue
        if found is None:
            continue
        every = sum(value.numel() for value in found.module.parameters() if value.dim() > 1)
        layers = {name: zeros_in(found.module.get_parameter(f"{name}.weight")) for name in found.sparsity}
        test, zeros = subject.accuracy(found), sum(layers.values()) / every
        yield key | {"whole_test": whole, "test": test, "zeros": zeros, "layers": layers}


def zeros_in(weight: nn.Parameter) -> int:
    return int((weight == 0).sum())


def table(rows: Sequence[dict[str, Any]], methods: Sequence[str]) -> Iterator[str]:
    """A row a family and share: percent on the test split; then each method in pairs against plain magnitude."""
    yield "| network (dense) | zeros | " + " | ".join(methods) + " |"
    yield "|---|---|" + "---|" * len(methods)
    for family in FAMILIES:
        for share in SHARES:
            own = [row for row in rows if (row["family"], row["share"]) == (family, share)]
            whole = 100 * np.mean([row["whole_test"] for row in own])
            cells = [_cell([row["test"] for row in own if row["method"] == method]) for method in methods]
            yield f"| {family} ({whole:.1f}) | {100 * share:g} % | {' | '.join(cells)} |"
    yield ""
    yield f"| against {BASE}, once | pairs | mean difference, points | 95 % |"
    yield "|---|---|---|---|"
    base = _by_pair(rows, BASE)
    for method in methods[1:]:
        own_pairs = _by_pair(rows, method)
        gains = np.array([100 * (own_pairs[key] - base[key]) for key in own_pairs if key in base])
        if len(gains) < 2 or not gains.any():
            yield f"| {method} | {len(gains)} | {'the same' if len(gains) > 1 else '—'} | |"
            continue
        found = bootstrap((gains,), np.mean, rng=np.random.default_rng(0)).confidence_interval
        yield f"| {method} | {len(gains)} | {gains.mean():+.2f} | {found.low:+.2f} … {found.high:+.2f} |"


def compared(rows: Sequence[dict[str, Any]], method: str) -> str:
    """How far the zeros of another's layers are from those of ours; ends the program where other layers have them."""
    ours = {_pair(row): row["layers"] for row in rows if row["method"] == BASE}
    apart = []
    for row in rows:
        if row["method"] == method and (base := ours.get(_pair(row))):
            if base.keys() != row["layers"].keys():
                raise SystemExit(f"{method} has zeros in other layers: {_pair(row)}")
            apart += [abs(zeros - base[name]) for name, zeros in row["layers"].items()]
    return f"\n- {method}: zeros of a layer at most {max(apart, default=0)} away from ours, in {len(apart):,} layers"


def failures(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """What was rolled back, and why."""
    for row in rows:
        if "failed" in row:
            where = f"{row['method']}, {100 * row['share']:g} %, {row['family']}, seed {row['seed']}"
            yield f"\n- {where}: {row['failed']}"


def _cell(values: list[float]) -> str:
    return f"{100 * np.mean(values):.1f}" if values else "—"


def _by_pair(rows: Sequence[dict[str, Any]], method: str) -> dict[tuple[str, float, int], float]:
    return {_pair(row): row["test"] for row in rows if row["method"] == method}


def _pair(row: Mapping[str, Any]) -> tuple[str, float, int]:
    return row["family"], row["share"], row["seed"]


def overhead(steps: int = 30) -> str:
    """Medians of training steps of MobileNetV2 (64×64, 64 pictures) by turns, with the zeros held and without."""
    subject = opened("mobilenetv2", 0, Said())
    options = SparsifyOptions(kind="sparsify", pattern="unstructured", sparsity=0.75)
    model = Sparsify(options).apply(subject.model, subject.context)
    module, masks = model.module.train(), zero_masks(model.module, model.sparsity)
    held = [(module.get_parameter(name), mask) for name, mask in masks.items()]
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-3, momentum=0.9, nesterov=True)
    images = torch.randn(64, *model.input_shape[1:])
    times: dict[bool, list[float]] = {False: [], True: []}
    for step in range(2 * steps + 4):
        masked = step % 2 == 1
        began = time.perf_counter()
        optimizer.zero_grad(set_to_none=True)
        module(images).logsumexp(1).mean().backward()
        optimizer.step()
        if masked:
            with torch.no_grad():
                for parameter, mask in held:
                    parameter.masked_fill_(~mask, 0)
        if step >= 4:
            times[masked].append(time.perf_counter() - began)
    dense, with_masks = (1e3 * float(np.median(times[key])) for key in (False, True))
    return f"dense {dense:.1f} ms, zeros held {with_masks:.1f} ms a step: {with_masks / dense - 1:+.1%}"


def main(
    *,
    family: Annotated[list[str] | None, typer.Option()] = None,
    seeds: Annotated[list[int] | None, typer.Option("--seed")] = None,
    peers: Annotated[bool, typer.Option(help="Plain zeros beside TF-MOT's and PyTorch's, apart")] = False,
    results: Annotated[Path | None, typer.Option()] = None,
    page: Annotated[Path, typer.Option()] = Path("docs/sparsity.md"),
    write: Annotated[bool, typer.Option(help="Put the table into the page, and train nothing")] = False,
    measure: Annotated[bool, typer.Option("--overhead", help="Time training steps instead")] = False,
) -> None:
    """Do what the results lack of these families and seeds (all, if none is named)."""
    if measure:
        print(overhead())
        return
    study_name, methods = ("sparsity-peers", PEERS) if peers else ("sparsity", PATTERNS)
    results = results or Path(f"runs/{study_name}.jsonl")
    results.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    if write:
        made = [row for row in rows if "failed" not in row]
        zeros = [compared(made, method) for method in (TORCH, TFMOT) if peers]
        text = "\n".join((*table(made, methods), *zeros, *failures(rows)))
        write_between(page, study_name, text)
        print(text)
        return
    if peers:
        process.check()
    done = {(row["family"], row["seed"], row["method"], row["share"]) for row in rows}
    for seed in seeds or SEEDS:
        for name in family or FAMILIES:
            every = [(method, share) for method in methods for share in SHARES]
            wanted = [each for each in every if (name, seed, *each) not in done]
            for row in study(name, seed, wanted) if wanted else ():
                with results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    typer.run(main)
