"""Networks without any downsampling, remade: `python benchmarks/sampling_free.py [--data cifar10/]`.

The published finding, on CIFAR-10: of three networks with about 24 thousand weights that see about as far, ten 3×3
convolutions sparsified while they train are best, four convolutions with growing kernels, sparsified too, come next,
four dilated ones, dense, last; and a network of the dilated one's size that halves its pictures loses three points
more. Here it is asked again of the built-in digits and scenes (and of a folder of pictures, if one is given), three
seeds that were named beforehand, the same training for all. A line of JSON a network: what is there is not done again.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import torch
import typer
from marks import write_between
from torch import Tensor, nn
from torch.nn import functional as F

from edgekit.data import Data, load_data
from edgekit.graph.receptive_field import receptive_fields, taps_left, widest
from edgekit.graph.trace import trace
from edgekit.metrics import metric_of
from edgekit.model import Task
from edgekit.progress import Silent
from edgekit.recipe import SparsifyOptions
from edgekit.stages.gradual import Gradual
from edgekit.stages.training import Training, outputs, recalibrate, score, train

SEEDS = (0, 1, 2)
SIZE = 32
ORDER = ("sparse 3×3", "sparse big kernels", "dilated", "strided")
"""As the finding ranks them."""
MARGIN_STRIDED = 3.0
"""Points that the strided network is said to lose against the dilated one."""


@dataclass(frozen=True)
class Form:
    """Convolutions (kernel, dilation, stride) of one width, and the share of zeros they are trained to."""

    layers: tuple[tuple[int, int, int], ...]
    width: int
    zeros: float | None = None


FORMS: Mapping[str, Form] = {
    "sparse 3×3": Form(((3, 1, 1),) * 10, 32, 0.72),
    "sparse big kernels": Form(tuple((size, 1, 1) for size in (3, 5, 7, 9)), 33, 0.865),
    "dilated": Form(tuple((3, step, 1) for step in (1, 2, 4, 8)), 30),
    "strided": Form(((3, 1, 1), (3, 1, 2), (3, 1, 2), (3, 1, 2)), 30),
}


class Network(nn.Module):
    """Convolutions with batch norms, then the mean over the picture, or a class for each pixel."""

    def __init__(self, form: Form, classes: int, task: Task) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for kernel, dilation, stride in form.layers:
            padding = dilation * (kernel // 2)
            layers += [
                nn.Conv2d(channels, form.width, kernel, stride, padding, dilation, bias=False),
                nn.BatchNorm2d(form.width),
                nn.ReLU(),
            ]
            channels = form.width
        self.body, self.head, self.task = nn.Sequential(*layers), nn.Conv2d(channels, classes, 1), task

    def forward(self, x: Tensor) -> Tensor:
        seen: Tensor = self.head(self.body(x))
        if self.task == "classification":
            return seen.mean((2, 3))
        return F.interpolate(seen, x.shape[2:], mode="bilinear", align_corners=False)


def trained(name: str, data: Data, *, task: Task, seed: int, epochs: int, device: str) -> dict[str, Any]:
    """One network from scratch: what it reaches on the test split, and what is left of it."""
    form = FORMS[name]
    torch.manual_seed(seed)
    module = Network(form, len(data.labels), task)
    penalty = None
    if form.zeros is not None:
        layers = [place for place, layer in module.named_modules() if isinstance(layer, nn.Conv2d)]
        sparsity = {place: f"unstructured@{100 * form.zeros:g}%" for place in layers if place != "head"}
        options = SparsifyOptions(
            kind="sparsify", pattern="unstructured", sparsity=form.zeros, schedule="polynomial", epochs=epochs
        )
        penalty = Gradual(module, sparsity, options)
    how = Training(
        task=task, epochs=epochs, learning_rate=0.1, batch_size=64, seed=seed, device=device, title=name
    )
    train(module.train(), data, how, Silent(), penalty=penalty)
    assert data.train is not None
    recalibrate(module, data.train, device)
    split = data.test
    assert split is not None
    right = score(task, outputs(module, split, device), split)
    assert right is not None
    graph = trace(module.eval(), (1, 3, SIZE, SIZE))
    weights = [layer.weight for layer in module.modules() if isinstance(layer, nn.Conv2d)]
    return {
        "params": sum(value.numel() for value in module.parameters()),
        "non_zeros": sum(int(value.count_nonzero()) for value in weights),
        "sees": [widest(receptive_fields(graph, taps))[0] for taps in ({}, taps_left(module))],
        "test": right.value,
    }


def table(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    """A row a network, a column a data set; then what agrees with the finding."""
    columns = list(dict.fromkeys(row["data"] for row in rows))
    yield "| network | parameters | non-zero weights | sees | " + " | ".join(columns) + " |"
    yield "|---|---|---|---|" + "---|" * len(columns)
    for name in ORDER:
        own = [row for row in rows if row["network"] == name]
        cells = [_cell([row["test"] for row in own if row["data"] == column]) for column in columns]
        sees = " → ".join(map(str, dict.fromkeys(own[0]["sees"])))
        yield f"| {name} | {own[0]['params']:,} | {own[0]['non_zeros']:,} | {sees} | {' | '.join(cells)} |"
    for column in columns:
        found = {name: _of(rows, name, column) for name in ORDER}
        yield ""
        yield f"{column} ({rows[0]['epochs']} epochs, {len(found[ORDER[0]])} seeds, {metric_of_column(rows, column)}):"
        yield ""
        for better, worse in pairwise(ORDER):
            gains = [100 * (one - two) for one, two in zip(found[better], found[worse], strict=True)]
            wanted = MARGIN_STRIDED if worse == "strided" else 0
            agrees = sum(gain > wanted for gain in gains)
            asked = f" by over {wanted:g} points" if wanted else ""
            yield (
                f"- {better} above {worse}{asked}: in {agrees} of {len(gains)} seeds "
                f"({', '.join(f'{gain:+.1f}' for gain in gains)} points)"
            )


def _of(rows: Sequence[dict[str, Any]], name: str, column: str) -> list[float]:
    own = {row["seed"]: row["test"] for row in rows if (row["network"], row["data"]) == (name, column)}
    return [own[seed] for seed in sorted(own)]


def metric_of_column(rows: Sequence[dict[str, Any]], column: str) -> str:
    return str(next(row["metric"] for row in rows if row["data"] == column))


def _cell(values: list[float]) -> str:
    return f"{100 * np.mean(values):.1f} % ({100 * min(values):.1f} to {100 * max(values):.1f})"


def main(
    data: Annotated[Path | None, typer.Option(help="A folder of pictures, such as CIFAR-10's")] = None,
    epochs: Annotated[int, typer.Option()] = 20,
    results: Annotated[Path, typer.Option()] = Path("runs/sampling-free.jsonl"),
    page: Annotated[Path, typer.Option()] = Path("docs/sparsity.md"),
    write: Annotated[bool, typer.Option(help="Put the table into the page")] = False,
) -> None:
    """Train what the results lack, and print the table."""
    results.parent.mkdir(parents=True, exist_ok=True)
    rows = [json.loads(line) for line in results.read_text().splitlines()] if results.exists() else []
    done = {(row["data"], row["network"], row["seed"]) for row in rows}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    asked: list[tuple[Path | None, Task]] = [(None, "classification"), (None, "segmentation")]
    for path, task in [*asked, (data, "classification")] if data else asked:
        pictures = load_data(path, task=task, input_size=SIZE)
        for name in FORMS:
            for seed in SEEDS:
                if (pictures.name, name, seed) in done:
                    continue
                found = trained(name, pictures, task=task, seed=seed, epochs=epochs, device=device)
                row = {"data": pictures.name, "network": name, "seed": seed, "epochs": epochs}
                rows.append(row | {"metric": metric_of(task).name, "device": device} | found)
                with results.open("a") as file:
                    file.write(json.dumps(rows[-1]) + "\n")
                print(json.dumps(rows[-1]), flush=True)
    text = "\n".join(table(rows))
    print(text)
    if write:
        write_between(page, "sampling-free", text)


if __name__ == "__main__":
    typer.run(main)
