"""The training loop where it is short, and where it goes wrong."""

from __future__ import annotations

from dataclasses import replace

import contexts
import numpy as np
import pytest
import torch
from labelled_pictures import pictures
from small_networks import model_of
from torch import nn

from edgekit.errors import InputError
from edgekit.model import Source
from edgekit.progress import Silent
from edgekit.recipe import PruneOptions, SparsifyOptions
from edgekit.stages import stage
from edgekit.stages.repeatable import repeatable
from edgekit.stages.training import Training, needs_adaptive, recalibrate, train
from edgekit.zoo import build

LAYERS = (
    nn.Conv2d(3, 16, 3),
    nn.Conv2d(16, 32, 1, bias=False),
    nn.BatchNorm2d(32),
    nn.AdaptiveAvgPool2d(1),
)


def how(**options: float) -> Training:
    values = {"epochs": 1, "learning_rate": 0.1, "batch_size": 4} | options
    return Training(task="classification", seed=0, device="cpu", title="t", **values)  # type: ignore[arg-type]


@pytest.mark.parametrize("steps", range(1, 8))
def test_any_number_of_steps_can_be_trained(steps: int) -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    before = [parameter.detach().clone() for parameter in network.parameters()]
    train(network, pictures(4 * steps), how(), Silent())
    assert all(not torch.equal(old, new) for old, new in zip(before, network.parameters(), strict=True))


def test_without_batch_norm_nothing_bounds_a_step_but_the_optimizer() -> None:
    assert needs_adaptive(build(Source(name="squeezenet1.1", num_classes=2)))
    assert not needs_adaptive(build(Source(name="mobilenetv2", num_classes=2)))
    layer = nn.Linear(192, 2)
    network, before = nn.Sequential(nn.Flatten(), layer), layer.weight.detach().clone()
    train(network, pictures(4), replace(how(learning_rate=1.0), adaptive=True), Silent())
    moved = (layer.weight.detach() - before).abs().max()
    assert 0 < moved <= 0.021  # Adam's first step is its rate, whatever the gradient


def test_a_loss_that_is_not_finite_is_the_recipes_fault() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    with pytest.raises(InputError, match="no longer finite") as error:
        train(network, pictures(8), how(learning_rate=1e30, epochs=6), Silent())
    assert "learning rate" in error.value.hint


def test_batch_norms_take_their_statistics_from_the_weights_as_they_are() -> None:
    data = pictures(16)
    assert data.train is not None
    module = nn.Sequential(nn.Conv2d(3, 4, 1, bias=False), nn.BatchNorm2d(4)).eval()
    with torch.no_grad():
        module.get_parameter("0.weight").mul_(7)
    recalibrate(module, data.train, "cpu")
    images = torch.from_numpy(data.train.images(np.arange(16)))
    with torch.no_grad():
        normed = module(images)
    assert torch.allclose(normed.mean((0, 2, 3)), torch.zeros(4), atol=1e-4)
    assert torch.allclose(normed.std((0, 2, 3)), torch.ones(4), atol=1e-2)
    assert module[1].momentum == nn.BatchNorm2d(4).momentum


@pytest.mark.parametrize(
    "options", [SparsifyOptions(kind="sparsify", pattern="2:4"), PruneOptions(kind="prune")]
)
def test_zeros_and_cuts_leave_statistics_that_fit_them(options: SparsifyOptions | PruneOptions) -> None:
    data = pictures(32)
    assert data.train is not None
    start = model_of(lambda: nn.Sequential(*LAYERS, nn.Flatten(), nn.Linear(32, 2)), side=8)
    changed = stage(options).apply(start, contexts.context(start, data)).module
    found = changed.get_buffer("2.running_var").clone()
    recalibrate(changed, data.train, "cpu")
    assert torch.equal(changed.get_buffer("2.running_var"), found)
    assert not torch.equal(start.module.get_buffer("2.running_var")[: len(found)], found)


def test_cudnn_is_repeatable_while_it_trains_and_left_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    cudnn = torch.backends.cudnn
    monkeypatch.setattr(cudnn, "benchmark", True)
    before = cudnn.deterministic, cudnn.benchmark
    with repeatable():
        assert (cudnn.deterministic, cudnn.benchmark) == (True, False)
    assert (cudnn.deterministic, cudnn.benchmark) == before
