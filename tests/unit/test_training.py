"""The training loop where it is short, and where it goes wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from labelled_pictures import pictures
from torch import nn

from edgekit.errors import InputError
from edgekit.model import Source
from edgekit.progress import Silent
from edgekit.stages.training import Training, needs_adaptive, train
from edgekit.zoo import build


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
