"""Static costs against published integers and cases worked by hand."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.graph.channels import channel_graph
from edgekit.graph.cost import cost
from edgekit.graph.memory_counters import MemoryAccessCounter
from edgekit.graph.trace import trace
from edgekit.model import Source
from edgekit.zoo import build


def test_mobilenetv2_is_the_published_one() -> None:
    found = cost(build(Source(name="mobilenetv2", num_classes=1000)), (1, 3, 224, 224))
    assert (found.params, found.macs) == (3_504_872, 300_774_272)
    assert found.receptive_field == (491, 491)  # Araujo et al. 2019, table of architectures


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_pointwise_memory_access_is_shufflenets_formula(groups: int) -> None:
    height, width, inputs, outputs = 7, 9, 24, 48
    layer = nn.Conv2d(inputs, outputs, 1, groups=groups, bias=False)
    found = cost(layer, (1, inputs, height, width))
    elements = height * width * (inputs + outputs) + inputs * outputs // groups  # Ma et al. 2018, equation 1
    assert found.memory_access_bytes == 4 * elements
    assert found.macs == height * width * inputs * outputs // groups
    assert (
        cost(layer, (1, inputs, height, width), weight_bytes=1, activation_bytes=1).memory_access_bytes
        == elements
    )


def test_linear_counts_tokens() -> None:
    assert cost(nn.Linear(8, 16), (1, 5, 8)).macs == 5 * 8 * 16


def test_transposed_convolution_counts_input_positions() -> None:
    assert cost(nn.ConvTranspose2d(4, 6, 3, stride=2), (1, 4, 5, 5)).macs == 4 * 6 * 9 * 25


class Branches(nn.Module):
    """Two paths of different reach that are added, after a dilated convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.dilated = nn.Conv2d(3, 4, 3, dilation=4, padding=4)
        self.near = nn.Conv2d(4, 4, 1)
        self.far = nn.Sequential(nn.Conv2d(4, 4, 3, stride=1, padding=1), nn.Conv2d(4, 4, 5, padding=2))
        self.down = nn.MaxPool2d(2)
        self.last = nn.Conv2d(4, 2, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.dilated(x)
        y: Tensor = self.last(self.down(self.near(x) + self.far(x)))
        return y


def test_receptive_field_by_hand() -> None:
    # dilated: 1 + 4·2 = 9; far: +2, +4 = 15 (the widest path counts); pool: +1 = 16, stride 2; last: +2·2 = 20
    assert cost(Branches(), (1, 3, 32, 32)).receptive_field == (20, 20)


def test_peak_memory_reuses_buffers() -> None:
    chain = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Conv2d(8, 4, 3, padding=1), nn.Conv2d(4, 2, 1)
    )
    found = cost(chain, (1, 3, 16, 16))
    assert found.peak_activation_bytes == 4 * 16 * 16 * (8 + 4)  # the widest pair of neighbours, not the sum


class Forked(nn.Module):
    """A map of 16 channels that is read by an element-wise operator and once more, before or after it."""

    def __init__(self, order: str) -> None:
        super().__init__()
        self.order = order
        self.stem = nn.Conv2d(3, 16, 1)
        self.b, self.c = nn.Conv2d(16, 2, 1), nn.Conv2d(16, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x0 = self.stem(x)
        if self.order == "later":
            return self.b(x0.relu()) + self.c(x0)  # type: ignore[no-any-return]
        if self.order == "view later":
            y, z = x0[:, :8], x0.relu()
            return self.b(z) + y.sum()  # type: ignore[no-any-return]
        if self.order == "given back":
            return x0.relu(), x0  # type: ignore[return-value]
        y = self.c(x0)
        return self.b(x0.relu()) + y  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("order", "elements"),
    [
        ("later", 16 + 16 + 2),  # b runs while the map waits for c, beside its rectified copy
        ("view later", 16 + 16 + 2),
        ("given back", 16 + 16),
        ("earlier", 16 + 2 + 2),  # nobody reads the map again: it is rectified where it lies
    ],
)
def test_peak_memory_where_a_map_is_read_again(order: str, elements: int) -> None:
    assert cost(Forked(order), (1, 3, 10, 10)).peak_activation_bytes == 4 * 100 * elements


def test_peak_memory_of_a_residual_block() -> None:
    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.stem, self.wide, self.narrow = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 24, 1), nn.Conv2d(24, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            x = self.stem(x)
            y: Tensor = x + self.narrow(self.wide(x).relu())
            return y

    # The skip's 4 channels wait while 24 are reduced to 4; the rectified 24 lie where the others lay.
    assert cost(Residual(), (1, 3, 10, 10)).peak_activation_bytes == 4 * 100 * (4 + 24 + 4)


def test_a_global_pooling_sees_everything() -> None:
    found = cost(
        nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2)),
        (1, 3, 20, 30),
    )
    assert found.layers[-1].receptive_field == (20, 30)
    assert found.receptive_field == (3, 3)


class Branching(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_a_network_that_branches_on_values_is_refused() -> None:
    with pytest.raises(InputError, match="Branching cannot be exported at input"):
        cost(Branching(), (1, 3, 8, 8))


def test_layers_sum_to_the_whole() -> None:
    found = cost(build(Source(name="mobilenetv2", num_classes=10)), (1, 3, 64, 64))
    assert sum(layer.macs for layer in found.layers) == found.macs
    names = {layer.name for layer in found.layers if layer.macs}
    modules = dict(build(Source(name="mobilenetv2", num_classes=10)).named_modules())
    assert names <= set(modules)
    assert math.prod(found.layers[-1].output_shape) == 10
    assert torch.Size(found.input_shape) == torch.Size((1, 3, 64, 64))


class Pooled(nn.Module):
    """A pooling that gives two tensors, of which one is read."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 8, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        largest: Tensor = self.conv(x).max(dim=1).values
        return largest


def test_an_operator_with_several_results_is_counted() -> None:
    module = Pooled()
    found = cost(module, (1, 3, 8, 8))
    assert [layer.operator for layer in found.layers] == ["conv 3x3", "max"]
    assert found.layers[1].memory_access_bytes == 4 * 64 * (8 + 1)
    counter = MemoryAccessCounter(channel_graph(trace(module, (1, 3, 8, 8))), module)
    assert counter() == found.memory_access_bytes


class Scaled(nn.Module):
    """A scale that is read as a number."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 1)
        self.s = nn.Parameter(torch.tensor(2.0))

    def forward(self, x: Tensor) -> Tensor:
        scaled: Tensor = self.conv(x) * self.s.item()
        return scaled


def test_a_number_takes_no_memory() -> None:
    found = cost(Scaled(), (1, 3, 8, 8))
    assert found.peak_activation_bytes == 4 * 64 * (4 + 4)
    assert [layer.operator for layer in found.layers] == ["conv 1x1", "mul"]
