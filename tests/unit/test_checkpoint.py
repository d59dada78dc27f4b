"""Checkpoints of networks that hold a tensor under several names: written once, and shared again when loaded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from own_networks import own_module
from safetensors.torch import load_file

from edgekit.checkpoint import WEIGHTS, load_model, save_model
from edgekit.graph.channels import channel_graph
from edgekit.graph.surgery import remove_channels
from edgekit.graph.trace import trace
from edgekit.model import Model
from edgekit.pipeline.network import new_model, preprocessing_of
from edgekit.zoo import architecture

TIED = """
from torch import nn

class Tied(nn.Module):
    def __init__(self, how="weight"):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 3, 2, 1)
        self.a, self.b = (nn.Sequential(nn.Conv2d(8, 8, 3, 1, 1), nn.BatchNorm2d(8)) for _ in "ab")
        self.head = nn.Linear(8, 10)
        if how == "layer":
            self.b = self.a
        elif how == "weight":
            self.b[0].weight = self.a[0].weight
        else:
            self.b[1].running_mean = self.a[1].running_mean

    def forward(self, x):
        return self.head(self.b(self.a(self.stem(x)).relu()).relu().mean((2, 3)))
"""
SHAPE = (1, 3, 16, 16)
SHARED = {"layer": "b.0.weight", "weight": "b.0.weight", "buffer": "b.1.running_mean"}


@pytest.fixture(params=SHARED)
def tied(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[tuple[Model, str]]:
    """A network, and a name that another name's tensor has too."""
    with own_module(tmp_path, TIED) as name:
        torch.manual_seed(0)
        found = architecture(f"{name}:Tied", [f"how={request.param}"])
        model = new_model(found, preprocessing_of(found, SHAPE[2:]), num_classes=10)
        model.module.get_buffer("a.1.running_mean").normal_()
        model.module.eval()
        yield model, SHARED[request.param]


def same_after_loading(model: Model, shared: str, folder: Path) -> bool:
    save_model(model, folder)
    assert shared not in load_file(folder / WEIGHTS)
    loaded = load_model(folder).module
    state, first = loaded.state_dict(keep_vars=True), shared.replace("b", "a", 1)
    assert state[shared] is state[first]
    images = torch.rand(2, *SHAPE[1:])
    with torch.no_grad():
        return torch.equal(loaded(images), model.module(images))


def test_a_shared_tensor_is_kept_once(tied: tuple[Model, str], tmp_path: Path) -> None:
    assert same_after_loading(*tied, tmp_path / "kept")


def test_it_is_shared_after_pruning_too(tied: tuple[Model, str], tmp_path: Path) -> None:
    model, shared = tied
    channels = channel_graph(trace(model.module, SHAPE))
    removed = channels.prunable[0].classes[:3]
    pruned = remove_channels(model.module, channels, removed)
    assert not pruned.rewritten
    assert same_after_loading(replace(model, module=pruned.module), shared, tmp_path / "kept")
