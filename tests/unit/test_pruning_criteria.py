"""Each criterion finds the channel that should go, in networks where that is known."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from forms_convolutional import conv
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.importance import Evidence, importance
from edgekit.graph.importance.consumers import watch
from edgekit.graph.trace import trace
from edgekit.recipe import LOOK_AT_PICTURES, Criterion

SHAPE = (1, 3, 8, 8)
DEAD = 2


def mean_of(outputs: Tensor, _: Tensor) -> Tensor:
    return outputs.mean()


def evidence(count: int = 32, *, labelled: bool = True) -> Evidence:
    images = torch.randn((count, *SHAPE[1:]), generator=torch.Generator().manual_seed(0))
    return Evidence(images, torch.zeros(count).long() if labelled else None, mean_of)


def analysed(module: nn.Module) -> tuple[nn.Module, ChannelGraph]:
    return module.eval(), channel_graph(trace(module, SHAPE))


def scores(module: nn.Module, criterion: Criterion, weight: str = "first.weight") -> list[float]:
    """By output channel of a layer."""
    module, channels = analysed(module)
    found = importance(module, channels, criterion, evidence() if criterion in LOOK_AT_PICTURES else None)
    return [found[name] for name in channels.producers()[weight].tolist()]


def least(values: list[float]) -> int:
    return values.index(min(values))


class Two(nn.Module):
    """Six channels between two convolutions; what the second reads is as large for each."""

    def __init__(self, between: nn.Module | None = None) -> None:
        torch.manual_seed(0)
        super().__init__()
        self.first, self.last = nn.Conv2d(3, 6, 1), nn.Conv2d(6, 4, 1)
        self.between = between or nn.Identity()
        with torch.no_grad():
            self.last.weight.fill_(1.0)
            assert self.first.bias is not None
            self.first.bias.zero_()

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(self.between(self.first(x)))
        return y


def test_l1_and_l2_differ_where_they_should() -> None:
    layers = Two()
    with torch.no_grad():
        layers.first.weight.fill_(5.0)
        layers.first.weight[0] = torch.tensor([3.0, 0, 0])[:, None, None]  # L1 3, L2² 9
        layers.first.weight[1] = 1.5  # L1 4.5, L2² 6.75
    assert least(scores(layers, "l1")) == 0
    assert least(scores(layers, "l2")) == 1


def test_batch_norm_scale_is_the_scale() -> None:
    norm = nn.BatchNorm2d(6)
    with torch.no_grad():
        norm.weight.copy_(torch.tensor([1.0, -2, 0.5, -0.1, 3, 1]))
    assert scores(Two(norm), "batch-norm-scale") == pytest.approx([1.0, 2, 0.5, 0.1, 3, 1])


def test_batch_norm_scale_leaves_out_what_it_cannot_judge() -> None:
    module, channels = analysed(nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 6, 1), nn.BatchNorm2d(6)))
    found = importance(module, channels, "batch-norm-scale")
    assert set(found) == set(channels.producers()["1.weight"].tolist())


def test_batch_norm_scale_without_batch_norm_is_refused() -> None:
    with pytest.raises(InputError, match="ranks channels by their batch norm, and this network has none"):
        scores(Two(), "batch-norm-scale")


@pytest.mark.parametrize("criterion", ["taylor", "reconstruction"])
def test_a_channel_that_never_fires_goes_first_whatever_its_weights(criterion: Criterion) -> None:
    layers = Two(nn.ReLU())
    with torch.no_grad():
        layers.first.weight[DEAD] = 4.0
        layers.first.get_parameter("bias")[DEAD] = -1000.0
    assert least(scores(layers, "l2")) != DEAD
    found = scores(layers, criterion)
    assert least(found) == DEAD
    assert found[DEAD] == 0


def test_taylor_is_the_change_of_the_loss_where_that_is_linear() -> None:
    layers = Two()
    found = scores(layers, "taylor")
    for channel in range(6):
        without = Two()
        without.load_state_dict(layers.state_dict())
        with torch.no_grad():
            without.last.weight[:, channel] = 0
            halves = (evidence().images[:16], evidence().images[16:])
            changes = [layers(half).mean() - without(half).mean() for half in halves]
        # Its producer and its consumer each see the whole change: a class sums over both.
        expected = torch.stack([(2 * change).square() for change in changes]).mean()
        assert found[channel] == pytest.approx(float(expected), rel=1e-4)


def test_reconstruction_is_the_share_of_the_error_of_the_first_to_go() -> None:
    layers = Two()
    found = scores(layers, "reconstruction")
    with torch.no_grad():
        images = evidence().images
        outputs = layers.last(layers.first(images)) - layers.last.get_parameter("bias")[:, None, None]
        parts = [
            (layers.first(images)[:, [channel]] * layers.last.weight[:, channel, 0, 0][:, None, None])
            for channel in range(6)
        ]
        errors = [float(part.square().sum() / outputs.square().sum()) for part in parts]
    first = least(errors)
    assert least(found) == first
    assert found[first] == pytest.approx(errors[first], rel=1e-4)


def test_the_second_to_go_is_the_one_that_the_first_took_along() -> None:
    layers = Two()
    with torch.no_grad():
        layers.first.weight[1] = -0.9 * layers.first.weight[0]  # together they hardly matter
        layers.first.weight[2:] = 10.0 * layers.first.weight[2:]
    order = torch.tensor(scores(layers, "reconstruction")).argsort().tolist()
    assert set(order[:2]) == {0, 1}


@pytest.mark.parametrize(
    "consumer",
    [
        lambda: nn.Conv2d(6, 4, 3, padding=1, bias=False),
        lambda: nn.Conv2d(6, 4, 3, stride=2, dilation=2, padding=(2, 1), bias=False),
        lambda: nn.Conv2d(6, 4, 3, padding="same", bias=False),
        lambda: nn.Conv2d(6, 4, 1, groups=2, bias=False),
        lambda: nn.ConvTranspose2d(6, 4, 3, stride=2, padding=1, output_padding=1, groups=2, bias=False),
        lambda: nn.Sequential(nn.Flatten(2), nn.Linear(64, 5, bias=False)),
    ],
    ids=["3x3", "dilated", "same", "grouped", "transposed", "linear"],
)
def test_what_channels_contribute_adds_up_to_what_a_layer_gives(
    consumer: Callable[[], nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("edgekit.graph.importance.consumers.POSITIONS", 10_000)
    torch.manual_seed(0)
    stem, last = conv(3, 6, 1), consumer()
    if isinstance(last, nn.Sequential):
        stem.append(nn.Flatten(2)).append(nn.Linear(64, 8)).append(nn.Unflatten(2, (2, 4)))
        last = nn.Sequential(nn.Flatten(2), nn.Linear(8, 5, bias=False))
    module, channels = analysed(nn.Sequential(stem, last))
    images = evidence(4).images
    seen = watch(module, channels, images)[-1]
    with torch.no_grad():
        whole = module(images).square().sum()
    assert float(sum(block.sum() for block in seen.products)) == pytest.approx(float(whole), rel=1e-4)


@pytest.mark.parametrize("criterion", ["taylor", "reconstruction"])
def test_the_same_pictures_give_the_same_scores(criterion: Criterion) -> None:
    assert scores(Two(nn.ReLU()), criterion) == scores(Two(nn.ReLU()), criterion)


def test_pictures_that_are_missing_are_asked_for() -> None:
    module, channels = analysed(Two())
    with pytest.raises(InputError, match="reconstruction looks at pictures") as error:
        importance(module, channels, "reconstruction")
    assert "--data" in error.value.hint
    with pytest.raises(InputError, match="the pictures have no classes"):
        importance(module, channels, "taylor", evidence(labelled=False))


def test_gradients_that_are_not_finite_are_refused() -> None:
    module, channels = analysed(Two())
    broken = evidence()
    broken.images[0, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match=r"the gradient of first\.weight is not finite"):
        importance(module, channels, "taylor", broken)
