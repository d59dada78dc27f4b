"""Receptive fields where neighbours see differently: after upsampling, beside shifted channels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.graph.cost import cost
from edgekit.graph.extent import PIXEL, moved, resized, transposed, window
from edgekit.graph.receptive_field import Field, receptive_fields
from edgekit.graph.trace import trace
from edgekit.model import Source
from edgekit.zoo import build

SIDE = 64


class Hourglass(nn.Module):
    """Down twice, up twice, skips, a shift along the height: all that moves what an output sees."""

    def __init__(self) -> None:
        super().__init__()
        self.down, self.middle = nn.Conv2d(1, 4, 3, 2, 1), nn.Conv2d(4, 4, 3, 1, 2, dilation=2)
        self.up, self.last = nn.ConvTranspose2d(4, 4, 3, 2, 1, 1), nn.Conv2d(4, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = self.down(x)
        x = self.middle(F.avg_pool2d(skip, 2))
        parts = torch.chunk(F.pad(x, (1, 1, 1, 1)), 2, dim=1)
        x = torch.cat([torch.roll(part, step, 2) for step, part in zip((-1, 1), parts, strict=True)], 1)
        x = F.interpolate(x[:, :, 1:-1, 1:-1], scale_factor=2, mode="bilinear") + skip
        picture: Tensor = self.last(self.up(x))
        return picture


def seen_by(module: nn.Module, row: int, column: int) -> tuple[int, int]:
    """Height and width of the pixels that one output depends on, found by its gradient."""
    picture = torch.rand(1, 1, SIDE, SIDE, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(module(picture)[0, 0, row, column], picture)
    rows, columns = gradient[0, 0].nonzero().T
    return int(rows.max() - rows.min()) + 1, int(columns.max() - columns.min()) + 1


def output_field(module: nn.Module, side: int, channels: int) -> tuple[int, int]:
    graph = trace(module, (1, channels, side, side))
    return receptive_fields(graph)[graph.graph.output_node().all_input_nodes[0]].size


def test_the_field_is_what_gradients_reach() -> None:
    torch.manual_seed(0)
    module = Hourglass().double()
    reached = [seen_by(module, SIDE // 2 + phase, SIDE // 2 + phase) for phase in range(8)]
    assert output_field(module.float(), SIDE, 1) == tuple(max(side) for side in zip(*reached, strict=True))


def test_a_case_by_hand() -> None:
    """A convolution 3×3 of stride 2 sees 3, its neighbour 2 further: doubled, two of them 5; then 3×3 on that."""
    down = window(PIXEL, kernel=3, stride=2, padding=1)
    up = resized(down, before=32, after=64, reach=1)
    assert (down.size, float(down.stride)) == (3, 2.0)
    assert (up.size, float(up.stride)) == (5, 1.0)
    # Outputs 0 and 1 lie beside pixel 0 of the small picture, and read -1 and 0, then 0 and 1.
    assert [up.at(index) for index in range(3)] == [(-3, 1), (-1, 3), (-1, 3)]
    assert window(up, kernel=3, padding=1).size == 7  # of outputs -1, 0, 1: (-3, 1), (-3, 1), (-1, 3)


def test_doubled_twice_is_not_twice_a_half() -> None:
    """Between outputs that see different pairs of pixels lies one that sees three."""
    twice = PIXEL
    for before in (8, 16):
        twice = resized(twice, before=before, after=2 * before, reach=1)
    assert [last - first + 1 for first, last in zip(twice.first, twice.last, strict=True)] == [2, 3, 3, 2]


def test_what_is_shifted_sees_further() -> None:
    down = window(PIXEL, kernel=2, stride=2)
    shifted = moved(down, 2).joined(moved(down, -2))
    assert (shifted.size, shifted.at(0)) == (10, (-4, 5))


@pytest.mark.parametrize(("kernel", "expected"), [(2, 1), (3, 2), (4, 2)])
def test_a_transposed_convolution_reads_what_its_taps_reach(kernel: int, expected: int) -> None:
    assert transposed(PIXEL, kernel=kernel, stride=2).size == expected


def test_nearest_reads_one() -> None:
    assert resized(PIXEL, before=5, after=10, reach=0).size == 1
    assert resized(PIXEL, before=5, after=15, reach=1).size == 2


def test_bicubic_reads_four_and_a_pixel_that_lies_there_alone() -> None:
    assert resized(PIXEL, before=5, after=10, reach=2).size == 4
    assert resized(PIXEL, before=5, after=5, reach=2).size == 1
    assert [resized(PIXEL, before=5, after=15, reach=2).at(output) for output in (0, 1)] == [(-2, 1), (0, 0)]


def test_antialiasing_reads_what_it_averages() -> None:
    class Smaller(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(x, scale_factor=0.5, mode="bilinear", antialias=True)

    assert output_field(Smaller(), SIDE, 1)[0] == seen_by(Smaller().double(), 16, 16)[0] == 4


class Merging(nn.Module):
    """Swin's way: pictures with channels last, windows that are shifted and shifted back, four pixels into one."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.first, self.merge = nn.Conv2d(1, 4, 4, 4), nn.Linear(4, 4), nn.Linear(16, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).permute(0, 2, 3, 1)
        n, h, w, c = x.shape
        y = torch.roll(x, (-1, -1), (1, 2)).view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5)
        y = self.first(y.reshape(-1, 4, c)).view(n, h // 2, w // 2, 2, 2, c).permute(0, 1, 3, 2, 4, 5)
        x = x + torch.roll(y.reshape(n, h, w, c), (1, 1), (1, 2))
        parts = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        return self.merge(torch.cat(parts, -1)).permute(0, 3, 1, 2)  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("module", "field"),
    [
        (nn.Sequential(nn.PixelUnshuffle(2), nn.Conv2d(4, 1, 3)), 2 + 2 * 2),
        (nn.Sequential(nn.Conv2d(1, 4, 3), nn.PixelShuffle(2), nn.Conv2d(1, 1, 3)), 3 + 1),
        (nn.Upsample(scale_factor=2, mode="bicubic"), 4),
        (Merging(), 8),
    ],
)
def test_other_ways_of_resizing_are_what_gradients_reach(module: nn.Module, field: int) -> None:
    torch.manual_seed(0)
    assert output_field(module.float(), SIDE, 1) == (field, field)
    module.double()
    side = module(torch.zeros(1, 1, SIDE, SIDE, dtype=torch.float64)).shape[-1]
    reached = [seen_by(module, side // 2 + phase, side // 2 + phase) for phase in range(2)]
    assert max(reached) == (field, field)


def test_a_mean_over_channels_is_no_global_pooling() -> None:
    class Gate(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x * x.mean(1).unsqueeze(1)

    assert not receptive_fields_of(Gate()).everything


def test_signals_of_other_ranks_pass() -> None:
    class Signal(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return F.interpolate(x.flatten(2), scale_factor=2, mode="linear").mean(2)

    assert receptive_fields_of(Signal()).size == (1, 1)


def receptive_fields_of(module: nn.Module) -> Field:
    graph = trace(module, (1, 4, 8, 8))
    return receptive_fields(graph)[graph.graph.output_node().all_input_nodes[0]]


@pytest.mark.parametrize(("name", "side", "field"), [("mobilenetv2", 224, 491), ("unext-s", 64, 710)])
def test_networks(name: str, side: int, field: int) -> None:
    """491 is what Araujo's formula gives; 710 is how far gradients reached in a picture of 1024×1024."""
    module = build(Source(name=name, num_classes=1)).eval()
    assert cost(module, (1, 3, side, side)).receptive_field == (field, field)


def test_where_places_drift_apart_the_wider_is_laid_around_the_further() -> None:
    """Seven pixels pooled to three and doubled to seven again come back three sevenths of two apart, not one."""
    seven = window(PIXEL, kernel=2, stride=2)
    back = resized(window(seven, kernel=3, stride=2), before=3, after=7, reach=0)
    joined = seven.joined(back)
    assert back.stride < seven.stride == joined.stride
    assert joined.size == back.size > seven.size
