"""Receptive fields where neighbours see differently: after upsampling, beside shifted channels."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.graph.cost import cost
from edgekit.graph.extent import PIXEL, moved, resized, transposed, window
from edgekit.graph.receptive_field import receptive_fields
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
    up = resized(down, before=32, after=64, bilinear=True)
    assert (down.size, float(down.stride)) == (3, 2.0)
    assert (up.size, float(up.stride)) == (5, 1.0)
    # Outputs 0 and 1 lie beside pixel 0 of the small picture, and read -1 and 0, then 0 and 1.
    assert [up.at(index) for index in range(3)] == [(-3, 1), (-1, 3), (-1, 3)]
    assert window(up, kernel=3, padding=1).size == 7  # of outputs -1, 0, 1: (-3, 1), (-3, 1), (-1, 3)


def test_doubled_twice_is_not_twice_a_half() -> None:
    """Between outputs that see different pairs of pixels lies one that sees three."""
    twice = PIXEL
    for before in (8, 16):
        twice = resized(twice, before=before, after=2 * before, bilinear=True)
    assert [last - first + 1 for first, last in zip(twice.first, twice.last, strict=True)] == [2, 3, 3, 2]


def test_what_is_shifted_sees_further() -> None:
    down = window(PIXEL, kernel=2, stride=2)
    shifted = moved(down, 2).joined(moved(down, -2))
    assert (shifted.size, shifted.at(0)) == (10, (-4, 5))


@pytest.mark.parametrize(("kernel", "expected"), [(2, 1), (3, 2), (4, 2)])
def test_a_transposed_convolution_reads_what_its_taps_reach(kernel: int, expected: int) -> None:
    assert transposed(PIXEL, kernel=kernel, stride=2).size == expected


def test_nearest_reads_one() -> None:
    assert resized(PIXEL, before=5, after=10, bilinear=False).size == 1
    assert resized(PIXEL, before=5, after=15, bilinear=True).size == 2


@pytest.mark.parametrize(("name", "side", "field"), [("mobilenetv2", 224, 491), ("unext-s", 64, 710)])
def test_networks(name: str, side: int, field: int) -> None:
    """491 is what Araujo's formula gives; 710 is how far gradients reached in a picture of 1024×1024."""
    module = build(Source(name=name, num_classes=1)).eval()
    assert cost(module, (1, 3, side, side)).receptive_field == (field, field)


def test_where_places_drift_apart_the_wider_is_laid_around_the_further() -> None:
    """Seven pixels pooled to three and doubled to seven again come back three sevenths of two apart, not one."""
    seven = window(PIXEL, kernel=2, stride=2)
    back = resized(window(seven, kernel=3, stride=2), before=3, after=7, bilinear=False)
    joined = seven.joined(back)
    assert back.stride < seven.stride == joined.stride
    assert joined.size == back.size > seven.size
