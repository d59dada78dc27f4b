"""Training on a GPU, in one short command: `python benchmarks/gpu_training.py`.

Trains MobileNetV2 on the digits, prunes it to half the MACs and recovers it with mixed precision off and auto. Prints
accuracies, seconds an epoch, how far outputs of the same network on the CPU and on the GPU lie apart, and whether a
seed repeats itself. The functions are those of a run, without the caches and the pipeline around them: no runtime need
be installed.
"""

from __future__ import annotations

import argparse
import copy
import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch

from edgekit.data import Data, Split, load_data
from edgekit.model import Model, Source
from edgekit.progress import Advance, Silent
from edgekit.recipe import MixedPrecision, PruneOptions, RecoverOptions, TrainOptions
from edgekit.stages import Context, stage
from edgekit.stages.precision import precision
from edgekit.stages.training import Training, outputs, recalibrate, score, train
from edgekit.target import load_target
from edgekit.zoo import build

SIDE = 64
BASELINE = TrainOptions()
PRUNE = PruneOptions(kind="prune", macs=0.5)


@dataclass
class Clock(Silent):
    """When each step of the last training ended."""

    ends: list[float] = field(default_factory=list)
    losses: list[str] = field(default_factory=list)

    @contextmanager
    def task(self, title: str, total: int) -> Iterator[Advance]:  # noqa: ARG002
        self.ends.clear()
        self.losses.clear()

        def advance(steps: int = 1, *, note: str = "") -> None:  # noqa: ARG001
            self.ends.append(time.perf_counter())
            self.losses.append(note)

        yield advance
        if torch.cuda.is_available():
            torch.cuda.synchronize()

    def seconds(self, steps: int) -> float:
        """Of an epoch, the median; the first one of all also compiles and allocates."""
        marks = self.ends[steps - 1 :: steps]
        lengths = np.diff(marks) if len(marks) > 1 else np.asarray([self.ends[-1] - self.ends[0]])
        return float(np.median(lengths))


def main(device: str, epochs: int, seed: int) -> None:
    """One line of JSON a result."""
    data, clock = load_data(None, input_size=SIDE), Clock()
    started = time.perf_counter()
    say(
        device=named(device),
        torch=torch.__version__,
        epochs=epochs,
        seed=seed,
        pictures=len(part(data.train)),
    )
    steps = -(-len(part(data.train)) // BASELINE.batch_size)
    whole = trained(data, device, epochs, seed, clock)
    say(
        what="baseline",
        test=accuracy(whole, data, device),
        seconds_an_epoch=clock.seconds(steps),
        loss=clock.losses[-1],
        cpu_against_device=apart(whole, data, device),
    )
    say(what="one epoch twice with the same seed", equal=repeats(data, device, seed))
    context = Context(
        data=data,
        target=load_target("host"),
        baseline=whole,
        accuracy_floor=None,
        seed=seed,
        torch_device=device,
        progress=clock,
        measured_accuracy=lambda _: None,
        file_bytes=lambda _: 0,
    )
    pruned = stage(PRUNE).apply(whole, context)
    said = pruned.lineage[-1].details
    say(
        what="pruned",
        test=accuracy(pruned, data, device),
        macs=f"{said['macs_before']} -> {said['macs_after']}",
        masked_difference=said["masked_difference"],
    )
    modes: tuple[MixedPrecision, ...] = ("off", "auto")
    for mode in modes:
        options = RecoverOptions(kind="recover", epochs=epochs, mixed_precision=mode)
        recovered = stage(options).apply(pruned, context)
        say(
            what=f"recovered, mixed_precision {mode}",
            computes_in=str(precision(mode, device).half or torch.float32),
            test=accuracy(recovered, data, device),
            seconds_an_epoch=clock.seconds(steps),
            loss=clock.losses[-1],
            cpu_against_device=apart(recovered, data, device),
        )
    say(seconds_in_all=time.perf_counter() - started)


def trained(data: Data, device: str, epochs: int, seed: int, clock: Clock) -> Model:
    """MobileNetV2 as a run trains its baseline."""
    torch.manual_seed(seed)
    source = Source(name="mobilenetv2", num_classes=len(data.labels))
    module = build(source)
    how = Training(
        task="classification",
        epochs=epochs,
        learning_rate=BASELINE.learning_rate,
        batch_size=BASELINE.batch_size,
        seed=seed,
        device=device,
        title="baseline",
    )
    train(module.train(), data, how, clock)
    recalibrate(module, part(data.train), device)
    return Model(
        name="mobilenetv2",
        module=module.eval(),
        input_shape=(1, 3, SIDE, SIDE),
        task="classification",
        preprocessing=data.preprocessing,
        labels=data.labels,
        source=source,
    )


def repeats(data: Data, device: str, seed: int) -> bool:
    """Whether the same seed gives the same weights, to the bit."""
    first, second = (trained(data, device, 1, seed, Clock()).module.state_dict() for _ in range(2))
    return all(torch.equal(value, second[name]) for name, value in first.items())


def part(split: Split | None) -> Split:
    assert split is not None
    return split


def accuracy(model: Model, data: Data, device: str) -> float:
    """On the test split."""
    split = part(data.test)
    found = score(model.task, outputs(copy.deepcopy(model.module), split, device), split)
    assert found is not None
    return found.value


def apart(model: Model, data: Data, device: str) -> float:
    """max|CPU - device| / max|CPU| of all outputs for the test split, float32 on both."""
    split = part(data.test)
    here, there = (outputs(copy.deepcopy(model.module), split, where) for where in ("cpu", device))
    return float(np.abs(here - there).max() / np.abs(here).max())


def named(device: str) -> str:
    if torch.device(device).type != "cuda":
        return device
    if not torch.cuda.is_available():
        raise SystemExit("this torch sees no GPU; --device cpu tries the script")
    return torch.cuda.get_device_name(device)


def say(**values: Any) -> None:
    rounded = {
        key: float(f"{value:.4g}") if isinstance(value, float) else value for key, value in values.items()
    }
    print(json.dumps(rounded), flush=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()  # no more packages than training needs
    parser.add_argument("--device", default="cuda")
    parser.add_argument(
        "--epochs", type=int, default=BASELINE.epochs, help="of the baseline and of each recovery"
    )
    parser.add_argument("--seed", type=int, default=0)
    main(**vars(parser.parse_args()))
