"""What each step of post-training quantization is worth: `python benchmarks/ptq.py [--quick] [--write]`.

Families on the built-in data, baselines as `compress` trains them (those that were trained before are taken from the
cache). For each: decibels (SQNR) of the INT8 network's outputs against the float one's on the test split, and its
accuracy there, with extremes for all tensors, one observer for all, an observer for each, and with equalization, bias
correction and AdaRound behind that, as the quantize stage decides. A second table says what each step did by itself on
calibration pictures, and whether it was kept. `--quick`: three families, 64 pictures.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated

import numpy as np
import torch
import typer
from int8_files import FAMILIES, SAMPLES
from marks import write_between

from edgekit.data import Split
from edgekit.model import Model, Quantization
from edgekit.pipeline.baseline import baseline
from edgekit.pipeline.job import resolve
from edgekit.progress import Silent
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.ptq import Methods, Quantized, parted, quantize
from edgekit.quantizer.reference import quantized_graph
from edgekit.quantizer.scales import Calibration
from edgekit.quantizer.simulate import decibels
from edgekit.request import Request
from edgekit.stages.training import score
from edgekit.target import Target

QUICK = ("mobilenetv2", "shufflenetv2-x0.5", "squeezenet1.1")
ROUNDING_STEPS = 300
STEPS = {
    "per tensor": Methods(equalize=False, correct_bias=False),
    "+ equalization": Methods(correct_bias=False),
    "+ bias correction": Methods(),
    "+ AdaRound": Methods(rounding_steps=ROUNDING_STEPS),
}


@dataclass(frozen=True)
class Reached:
    """Of one INT8 network on the test split."""

    decibels: float
    accuracy: float

    def __str__(self) -> str:
        return f"{self.decibels:.1f} dB, {100 * self.accuracy:.1f} %"


@dataclass(frozen=True, eq=False)
class Subject:
    """One trained network, its pictures, and what it computes in float."""

    model: Model
    target: Target
    calibration: Split
    test: Split
    samples: int

    def batches(self) -> Iterator[np.ndarray]:
        return pictures(self.calibration, self.samples)

    def reached(self, network: torch.nn.Module) -> Reached:
        """Against the float network; top-1, or IoU."""
        with torch.no_grad():
            pairs = [(self.model.module(images), network(images)) for images in self.tested()]
        wanted, found = (torch.cat(side) for side in zip(*pairs, strict=True))
        right = score(self.model.task, found.numpy(), self.test)
        assert right is not None
        return Reached(decibels(wanted, found), right.value)

    def tested(self) -> Iterator[torch.Tensor]:
        return map(torch.from_numpy, pictures(self.test, len(self.test)))


def pictures(split: Split, count: int) -> Iterator[np.ndarray]:
    """The first ones, in batches."""
    for start in range(0, count, 32):
        yield split.images(np.arange(start, min(start + 32, count)))


def opened(family: str, target: str, samples: int) -> Subject:
    job = resolve(Request(model=family, target=target, seed=0, input_size=FAMILIES[family]))
    assert job.data.test is not None
    model = baseline(job, Silent())
    count = min(samples, len(job.data.calibration))
    return Subject(model, job.target, job.data.calibration, job.data.test, count)


def with_one_observer(subject: Subject, scales: Quantization) -> dict[str, Quantization]:
    """Extremes for all tensors, and the best of the observers for all alike, in the place of these scales."""
    calibration = Calibration(folded_graph(subject.model, any_batch=True), subject.target.int8)
    with torch.no_grad():
        batches = [torch.from_numpy(batch) for batch in subject.batches()]
        options = calibration.options(calibration.observe(batches))
        images, _ = parted(torch.cat(batches))
        wanted = subject.model.module(images)
        uniform = {name: calibration.grids(options, name) for name in next(iter(options.values()))}
        near = {name: calibration.decibels(grids, images, wanted) for name, grids in uniform.items()}
    best = max(near, key=near.__getitem__)
    return {
        "min-max": scales.model_copy(update={"activations": uniform["min-max"]}),
        "one observer": scales.model_copy(update={"activations": uniform[best]}),
    }


def measured(subject: Subject) -> tuple[dict[str, Reached], Quantized, float]:
    """Every column, what the last step tells of all of them, and the seconds of the default path."""
    found = {"float": subject.reached(subject.model.module)}
    seconds = 0.0
    for name, methods in STEPS.items():
        began = time.process_time()
        result = quantize(subject.model, subject.target.int8, subject.batches(), methods)
        if methods == Methods():
            seconds = time.process_time() - began
        found[name] = subject.reached(int8(subject.model, result.module, result.quantization))
    for name, quantization in with_one_observer(subject, result.quantization).items():
        found[name] = subject.reached(int8(subject.model, subject.model.module, quantization))
    return found, result, seconds


def int8(model: Model, module: torch.nn.Module, quantization: Quantization) -> torch.nn.Module:
    return quantized_graph(replace(model, module=module, quantization=quantization), any_batch=True)


def table(rows: Sequence[tuple[str, dict[str, Reached], Quantized, float]]) -> Iterator[str]:
    """Markdown: what is reached on the test split, then each step by itself."""
    columns = ["min-max", "one observer", *STEPS]
    yield "| network | float | " + " | ".join(columns) + " |"
    yield "|---|" + "---|" * (len(columns) + 1)
    for name, found, _, _ in rows:
        cells = " | ".join(str(found[column]) for column in columns)
        yield f"| {name} | {100 * found['float'].accuracy:.1f} % | {cells} |"
    yield ""
    steps = list(dict.fromkeys(trial.step for _, _, result, _ in rows for trial in result.trials))
    yield "| network | observers | " + " | ".join(steps) + " | CPU seconds without AdaRound |"
    yield "|---|---|" + "---|" * (len(steps) + 1)
    for name, _, result, seconds in rows:
        tried = {trial.step: str(trial) for trial in result.trials}
        observers = ", ".join(f"{count} {each}" for each, count in sorted(result.observers.items()))
        cells = " | ".join(tried.get(step, "nothing to do") for step in steps)
        yield f"| {name} | {observers} | {cells} | {seconds:.1f} |"


def main(
    family: Annotated[list[str] | None, typer.Option()] = None,
    target: Annotated[str, typer.Option()] = "host",
    page: Annotated[Path, typer.Option()] = Path("docs/int8.md"),
    quick: Annotated[bool, typer.Option(help="Three families, 64 calibration pictures")] = False,
    write: Annotated[bool, typer.Option(help="Put the tables into the page")] = False,
) -> None:
    """Measure the families, and print the tables."""
    rows = []
    for name in family or (QUICK if quick else FAMILIES):
        subject = opened(name, target, 64 if quick else SAMPLES)
        rows.append((name, *measured(subject)))
        print(
            name, *(f"{column}: {reached}" for column, reached in rows[-1][1].items()), sep="\n  ", flush=True
        )
    text = "\n".join(table(rows))
    print(text)
    if write:
        write_between(page, "ptq", text)


if __name__ == "__main__":
    typer.run(main)
