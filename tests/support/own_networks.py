"""Networks of a user's own, as text: a module that a test puts into an empty folder."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from small_networks import Residual
from torch import nn

NETWORKS = """
import torch
from torch import nn


class Tiny(nn.Module):
    def __init__(self, num_classes=10, in_channels=3, width=16):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, width, 3, 2, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU6(),
            nn.Conv2d(width, 2 * width, 3, 2, 1, bias=False), nn.BatchNorm2d(2 * width), nn.ReLU6(),
        )
        self.head = nn.Linear(2 * width, num_classes)

    def forward(self, x):
        return self.head(self.features(x).mean((2, 3)))


def tiny(*, num_classes, depth: int = 1):
    return Tiny(num_classes, width=8 * depth)


def seven():
    return Tiny(7)


def needs(size):
    return Tiny(width=size)


def broken():
    raise ValueError("no weights\\nhere")


def leaving():
    raise SystemExit(3)


def no_network():
    return {"a": 1}


class Pair(Tiny):
    def forward(self, x):
        return x, super().forward(x)


class Map(Tiny):
    def forward(self, x):
        return self.features(x)


class Masks(Map):
    def __init__(self, num_classes=1):
        super().__init__()
        self.head = nn.Conv2d(32, num_classes, 1)

    def forward(self, x):
        return nn.functional.interpolate(self.head(self.features(x)), scale_factor=4.0)


class Branching(Tiny):
    def forward(self, x):
        y = super().forward(x)
        if y.sum() > 0:
            y = y + 1
        return y


class Numpy(Tiny):
    def forward(self, x):
        return torch.tensor(super().forward(x).numpy())


class Baked(Tiny):
    def forward(self, x):
        return super().forward(x).view(1, 10)


class Sized(Tiny):
    def forward(self, x):
        y = self.features(x)
        return self.head(y.view(y.shape[0], 32, 64).mean(2))


answer = 42
"""
_NUMBERS = itertools.count()


@contextmanager
def own_module(folder: Path, text: str = NETWORKS) -> Iterator[str]:
    """The name of a module in that folder, a new one each time; the folder is the current one meanwhile."""
    name = f"own_networks_{next(_NUMBERS)}"
    (folder / f"{name}.py").write_text(text)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", list(sys.path))
        yield name
    sys.modules.pop(name, None)


def line_of(code: str) -> int:
    """Where a line of `NETWORKS` stands."""
    return next(number for number, line in enumerate(NETWORKS.splitlines(), start=1) if code in line)


def save_program(path: Path, network: nn.Module | None = None, *, batch: bool = True, side: int = 32) -> Path:
    """A `.pt2` file of a network, `Residual` by default, for any batch or for one picture."""
    torch.manual_seed(0)
    module = (network or Residual()).eval()
    shapes = ({0: torch.export.Dim("batch")},) if batch else None
    example = torch.zeros(2 if batch else 1, 3, side, side)
    torch.export.save(torch.export.export(module, (example,), dynamic_shapes=shapes), path)
    return path
