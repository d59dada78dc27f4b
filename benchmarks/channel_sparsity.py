"""What training channels towards zero is worth: `python benchmarks/channel_sparsity.py [--model mobilenetv1]`.

On the built-in digits, at 32×32: the accuracy of the pruned network before any recovery, with and without channel
sparsity in front of the prune, and what the penalty adds to a training step (medians, one thread, taken in turns).
"""

from __future__ import annotations

import copy
import statistics
import time
from typing import Annotated

import numpy as np
import torch
import typer

from edgekit.data.batching import batches
from edgekit.graph.channels import channel_graph
from edgekit.graph.trace import trace
from edgekit.model import Model
from edgekit.pipeline import resolve
from edgekit.pipeline.baseline import baseline
from edgekit.pipeline.job import Job
from edgekit.progress import Silent
from edgekit.recipe import PruneOptions, SparsifyOptions
from edgekit.request import Request
from edgekit.stages import Context, stage
from edgekit.stages.shrinkage import GroupLasso, Groups
from edgekit.stages.training import outputs, score

STEPS = 12


def accuracy(model: Model, job: Job) -> float:
    if job.data.val is None:
        raise SystemExit("the built-in data have a split to decide on")
    found = score(model.task, outputs(model.module, job.data.val, "cpu"), job.data.val)
    return found.value if found else float("nan")


def overhead(model: Model, job: Job) -> tuple[float, float]:
    """Milliseconds of a training step and of the penalty behind it."""
    if job.data.train is None:
        raise SystemExit("the built-in data have a split to train on")
    module = copy.deepcopy(model.module).train()
    channels = channel_graph(trace(module, model.input_shape))
    names = torch.cat([group.classes for group in channels.prunable])
    groups = Groups(module, channels.slots, names)
    penalty = GroupLasso(groups, groups.norms(), 1e-6)
    optimizer = torch.optim.SGD(module.parameters(), lr=1e-4)
    images, targets = next(iter(batches(job.data.train, 64, rng=np.random.default_rng(0), augment=True)))
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
    return statistics.median(steps), statistics.median(penalties)


def main(
    model: Annotated[str, typer.Option()] = "mobilenetv1",
    width: Annotated[float, typer.Option()] = 0.5,
    macs: Annotated[float, typer.Option()] = 0.5,
    epochs: Annotated[int, typer.Option()] = 8,
) -> None:
    """Print one line for each way."""
    torch.set_num_threads(1)
    job = resolve(
        Request(model=model, target="host", recipe="prune-int8", width=width, input_size=32, threads=1)
    )
    start = baseline(job, Silent())
    prune = PruneOptions(kind="prune", macs=macs)
    context = Context(
        data=job.data,
        target=job.target,
        baseline=start,
        accuracy_floor=None,
        seed=0,
        torch_device="cpu",
        progress=Silent(),
        measured_accuracy=lambda _: None,
        file_bytes=lambda _: 0,
        next_prune=prune,
    )
    step, penalty = overhead(start, job)
    print(f"{model} × {width:g}, {macs:g} of the MACs, {epochs} epochs of sparsity, no recovery")
    print(f"a step {step:.1f} ms, the penalty {penalty:.2f} ms: {penalty / step:.1%}")
    print(f"{'baseline':24} {accuracy(start, job):7.2%}")
    print(f"{'pruned':24} {accuracy(stage(prune).apply(start, context), job):7.2%}")
    for name in ("growing", "batch-norm"):
        options = SparsifyOptions(kind="sparsify", pattern="channel", penalty=name, epochs=epochs)
        ready = stage(options).apply(start, context)
        pruned = stage(prune).apply(ready, context)
        print(
            f"{name + ', pruned':24} {accuracy(pruned, job):7.2%}   (not pruned yet: {accuracy(ready, job):.2%})"
        )


if __name__ == "__main__":
    typer.run(main)
