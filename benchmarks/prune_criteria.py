"""Which criterion keeps most: `python benchmarks/prune_criteria.py`, then `prune_criteria_table.py` for its tables.

Families on the built-in data, baselines as `compress` trains them, three seeds that were named beforehand; each method
prunes the same network to the same MACs, and each is given the same short recovery. Beside ours stands Torch-Pruning's
group-magnitude pruner (`pip install torch-pruning`), where it is installed and works. A line of JSON a result:
what is there is not done again, so a study can be cut off, and split by `--family` and `--seed`.
"""

from __future__ import annotations

import copy
import json
import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import torch
import typer
from torch import Tensor, nn

from edgekit.graph.channels import channel_graph
from edgekit.graph.cost import cost
from edgekit.graph.trace import trace
from edgekit.model import Model
from edgekit.pipeline.baseline import baseline, torch_device
from edgekit.pipeline.job import Job, resolve
from edgekit.progress import Progress, Silent
from edgekit.recipe import LOOK_AT_PICTURES, Criterion, RecoverOptions, Scope
from edgekit.request import Request
from edgekit.stages import Context
from edgekit.stages.evidence import evidence_of
from edgekit.stages.pruning import Ranking, prune
from edgekit.stages.recover import Recover
from edgekit.stages.training import outputs, score

FAMILIES = {"mobilenetv2": 32, "shufflenetv2-x0.5": 32, "squeezenet1.1": 64, "ghostnet": 32, "unext-s": 64}
"""Each at pictures of so many pixels: digits have 8×8; SqueezeNet learns little at 32×32."""
SEEDS = (0, 1, 2)
LEFT = (0.5, 0.3, 0.15)
"""Shares of the MACs that are left: 50, 70 and 85 % fewer."""
OURS: tuple[tuple[Criterion, Scope], ...] = (
    ("l1", "global"),
    ("l2", "global"),
    ("l2", "layer"),
    ("batch-norm-scale", "global"),
    ("taylor", "global"),
    ("taylor", "layer"),
    ("reconstruction", "global"),
    ("reconstruction", "layer"),
)
THEIRS = "torch-pruning"
RECOVERY = RecoverOptions(kind="recover", epochs=3, learning_rate=0.05)
SAMPLES, SWEEP = 128, 200
"""Pictures that criteria look at; steps in which Torch-Pruning goes from the whole network to none of it."""


@dataclass(frozen=True, eq=False)
class Subject:
    """One trained network, and what its pruned forms are judged by."""

    job: Job
    model: Model
    macs: int

    @property
    def context(self) -> Context:
        return Context(
            data=self.job.data,
            target=self.job.target,
            baseline=self.model,
            accuracy_floor=None,
            seed=self.job.request.seed,
            torch_device=torch_device(),
            progress=Silent(),
            measured_accuracy=lambda _: None,
            file_bytes=lambda _: 0,
        )

    def accuracy(self, model: Model) -> float:
        """On the test split."""
        split = self.job.data.test
        assert split is not None
        right = score(model.task, outputs(model.module, split, torch_device()), split)
        assert right is not None
        return right.value


class Said(Silent):
    """Lines alone: a study runs beside others."""

    def say(self, line: str) -> None:
        print(line, flush=True)


def opened(family: str, seed: int, progress: Progress) -> Subject:
    job = resolve(Request(model=family, target="host", seed=seed, input_size=FAMILIES.get(family)))
    model = baseline(job, progress)
    macs = multiply_accumulates(model.module, torch.zeros(model.input_shape))
    if macs != cost(model.module, model.input_shape).macs:
        raise SystemExit(f"{family} has other operators than this benchmark counts")
    return Subject(job, model, macs)


def pruned_by_us(subject: Subject, wanted: list[tuple[str, float]]) -> Iterator[tuple[str, float, Model]]:
    """Every wanted method at its share; the network is exported once."""
    model = subject.model
    channels = channel_graph(trace(model.module, model.input_shape))
    evidence = evidence_of(subject.job.data, model.task, SAMPLES)
    for criterion, scope in OURS:
        for share in LEFT:
            method = f"{criterion} {scope}"
            if (method, share) in wanted:
                ranking = Ranking(criterion, scope, (), evidence if criterion in LOOK_AT_PICTURES else None)
                allowed = {"macs": int(share * subject.macs)}
                yield (
                    method,
                    share,
                    prune(model, allowed=allowed, multiple=1, ranking=ranking, channels=channels).model,  # type: ignore[arg-type]
                )


def pruned_by_them(subject: Subject, wanted: list[tuple[str, float]]) -> Iterator[tuple[str, float, Model]]:
    """Torch-Pruning as its authors call it: in small steps, the first network within each share is taken."""
    shares = [share for share in LEFT if (THEIRS, share) in wanted]
    if not shares:
        return
    import torch_pruning

    module, example = copy.deepcopy(subject.model.module), torch.zeros(subject.model.input_shape)
    pruner = torch_pruning.pruner.BasePruner(
        module,
        example,
        importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
        pruning_ratio=1.0,
        iterative_steps=SWEEP,
        ignored_layers=[last_layer(module, subject.model.source.num_classes)],
    )
    for _ in range(SWEEP):
        pruner.step()
        while shares and multiply_accumulates(module, example) <= shares[0] * subject.macs:
            yield THEIRS, shares.pop(0), replace(subject.model, module=copy.deepcopy(module))
        if not shares:
            return
    raise RuntimeError(f"{shares[0]:g} of the MACs is out of its reach")


def last_layer(module: nn.Module, classes: int) -> nn.Module:
    """What makes the outputs: its channels are the classes."""
    layers = [
        each
        for each in module.modules()
        if (isinstance(each, nn.Linear) and each.out_features == classes)
        or (isinstance(each, nn.Conv2d) and each.out_channels == classes)
    ]
    return layers[-1]


def multiply_accumulates(module: nn.Module, example: Tensor) -> int:
    """Of convolutions and linear layers, while the network runs: an export for each small step would take hours."""
    total = 0

    def count(layer: nn.Module, _: object, made: Tensor) -> None:
        nonlocal total
        weight = layer.weight
        assert isinstance(weight, Tensor)
        channels = made.shape[1] if isinstance(layer, nn.Conv2d) else made.shape[-1]
        total += made.numel() // channels * weight.numel()

    layers = [each for each in module.modules() if isinstance(each, nn.Conv2d | nn.Linear)]
    hooks = [each.register_forward_hook(count) for each in layers]
    with torch.no_grad():
        module.eval()(example)
    for hook in hooks:
        hook.remove()
    return total


def result(subject: Subject, share: float, pruned: Model) -> dict[str, Any]:
    """Accuracy before and after the recovery that all are given."""
    macs = multiply_accumulates(pruned.module, torch.zeros(pruned.input_shape))
    if macs > share * subject.macs:
        raise RuntimeError(f"{macs:,} MACs are more than {share:g} of {subject.macs:,}")
    recovered = Recover(RECOVERY).apply(pruned, subject.context)
    told = recovered.lineage[-1].details
    return {
        "macs": macs / subject.macs,
        "epochs": RECOVERY.epochs,
        "val_before": told["val_accuracy_before"],
        "val_after": told["val_accuracy_after"],
        "test_before": subject.accuracy(pruned),
        "test_after": subject.accuracy(recovered),
    }


def study(family: str, seed: int, wanted: list[tuple[str, float]]) -> Iterator[dict[str, Any]]:
    """A row a result, as they come; a method that fails says why, for every share that it could not give."""
    subject = opened(family, seed, Said())
    key = {"family": family, "seed": seed}
    whole = subject.accuracy(subject.model)
    for make in (pruned_by_us, pruned_by_them):
        left = [each for each in wanted if (each[0] == THEIRS) == (make is pruned_by_them)]
        began = time.process_time()
        try:
            for method, share, pruned in make(subject, list(left)):
                found = result(subject, share, pruned)
                seconds = round(time.process_time() - began, 1)
                yield {
                    **key,
                    "method": method,
                    "share": share,
                    "seconds": seconds,
                    "whole_test": whole,
                    **found,
                }
                left.remove((method, share))
                began = time.process_time()
        except Exception as error:  # noqa: BLE001 (another's pruner fails in ways of its own)
            said = f"{type(error).__name__}: {str(error).splitlines()[0]}"
            method = left[0][0]
            rest = [each for each in left if each[0] == method]
            for _, share in rest:
                yield {**key, "method": method, "share": share, "failed": said}
            if len(rest) < len(left):
                yield from study(family, seed, [each for each in left if each not in rest])


def main(
    family: Annotated[list[str] | None, typer.Option()] = None,
    seed: Annotated[list[int] | None, typer.Option()] = None,
    method: Annotated[list[str] | None, typer.Option(help='"l2 global", …, torch-pruning')] = None,
    results: Annotated[Path, typer.Option()] = Path("runs/prune-criteria.jsonl"),
) -> None:
    """Do what the results lack of these families, seeds and methods (all, if none is named)."""
    warnings.filterwarnings("ignore", module="torch_pruning")
    results.parent.mkdir(parents=True, exist_ok=True)
    lines = results.read_text().splitlines() if results.exists() else []
    done = {(row["family"], row["seed"], row["method"], row["share"]) for row in map(json.loads, lines)}
    known = [*(" ".join(each) for each in OURS), THEIRS]
    methods = [each for each in known if not method or each in method]
    for name in family or FAMILIES:
        for number in seed or SEEDS:
            every = [(each, share) for each in methods for share in LEFT]
            wanted = [each for each in every if (name, number, *each) not in done]
            for row in study(name, number, wanted) if wanted else ():
                with results.open("a") as file:
                    file.write(json.dumps(row) + "\n")
                print(json.dumps(row), flush=True)


if __name__ == "__main__":
    typer.run(main)
