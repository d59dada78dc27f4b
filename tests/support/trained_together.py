"""Trainings in one process of a launch, or alone: `python trained_together.py FOLDER`; the first saves weights."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from labelled_pictures import pictures
from safetensors.torch import save_file
from small_networks import Shuffled, model_of
from torch import Tensor, nn

from edgekit.data.split import Data
from edgekit.errors import InputError
from edgekit.graph.channels import channel_graph
from edgekit.graph.trace import trace
from edgekit.progress import Silent
from edgekit.stages.crew import follows
from edgekit.stages.shrinkage import GroupLasso, Groups
from edgekit.stages.sparsity import project, zero_masks
from edgekit.stages.training import Training, follow, leading, train

PICTURES, BATCH = 47, 15
"""Batches of 12 and 11 pictures: their halves are not of one size either."""


class Plain(nn.Module):
    """No batch norm, and a layer that no loss reaches."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 10))
        self.unused = nn.Linear(2, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.layers(x)
        return logits


def of_a_function() -> nn.Module:
    """A class that no other process can find."""

    class Inner(Shuffled):
        pass

    return Inner()


@dataclass(frozen=True)
class Case:
    network: Callable[[], nn.Module]
    options: Mapping[str, Any] = field(default_factory=dict)
    teacher: bool = False
    sparse: bool = False
    shrinks: bool = False


CASES = {
    "diverging": Case(Shuffled, {"learning_rate": 1e30}),
    "plain": Case(Plain, {"adaptive": True}),
    "batch-norm": Case(Shuffled),
    "recovery": Case(
        Shuffled,
        {"distillation": 0.5, "features": 1.0, "ema": 0.8, "held_out": 0.2, "patience": 2, "epochs": 3},
        teacher=True,
        sparse=True,
    ),
    "shrinking": Case(Shuffled, shrinks=True),
    "unpicklable": Case(of_a_function),
}


def train_case(case: Case, data: Data) -> nn.Module:
    module = model_of(case.network, side=8).module
    teacher = copy.deepcopy(module) if case.teacher else None
    sparsity = {"last.0": "2:4"} if case.sparse else {}
    project(module, sparsity)
    values: dict[str, Any] = {"epochs": 2, "learning_rate": 0.02, **case.options}
    train(
        module.train(),
        data,
        Training(task="classification", batch_size=BATCH, seed=3, device="cpu", title="t", **values),
        Silent(),
        teacher=teacher,
        masks=zero_masks(module, sparsity),
        penalty=shrinking(module) if case.shrinks else None,
    )
    return module


def shrinking(module: nn.Module) -> GroupLasso:
    graph = channel_graph(trace(copy.deepcopy(module).eval(), (1, 3, 8, 8)))
    groups = Groups(module, graph.slots, graph.prunable[0].classes[:4])
    return GroupLasso(groups, groups.norms(), 0.5)


def main(folder: str) -> None:
    torch.set_num_threads(1)
    data = pictures(PICTURES)
    if follows():
        follow(data, "cpu")
        return
    with leading(data, "cpu"):
        for name, case in CASES.items():
            out = Path(folder) / name
            try:
                module = train_case(case, data)
            except InputError as error:
                out.write_text(error.what)
            else:
                save_file({key: value.contiguous() for key, value in module.state_dict().items()}, out)


if __name__ == "__main__":
    main(sys.argv[1])
