"""Advice: each rule on a network that breaks it and on one that does not."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import Tensor, nn

from edgekit.graph.advice import Advice, advise
from edgekit.graph.advice.dilation import holes
from edgekit.graph.cost import cost

SHAPE = (1, 16, 32, 32)


def advice_on(module: nn.Module, **options: object) -> dict[str, Advice]:
    return {found.rule: found for found in advise(cost(module, SHAPE), **options)}  # type: ignore[arg-type]


def test_a_plain_network_breaks_nothing() -> None:
    network = nn.Sequential(nn.Conv2d(16, 16, 1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU())
    assert advise(cost(network, SHAPE), channel_multiple=16) == ()


def test_unequal_widths_and_what_they_move() -> None:
    found = advice_on(nn.Sequential(nn.Conv2d(16, 64, 1), nn.Conv2d(64, 64, 1)))["G1"]
    pixels, product = 32 * 32, 16 * 64
    ratio = (pixels * (16 + 64) + product) / (2 * pixels * 32 + product)  # √(16 · 64) = 32
    assert found.layers == ("0",)
    assert f"{ratio:.2f} times" in found.findings[0].what
    assert "16 → 64" in found.findings[0].what


def test_groups_that_are_not_depthwise() -> None:
    network = nn.Sequential(nn.Conv2d(16, 16, 1, groups=4), nn.Conv2d(16, 16, 3, padding=1, groups=16))
    found = advice_on(network)
    assert found["G2"].layers == ("0",)
    assert found["G4"].layers == ("1",)


class Fire(nn.Module):
    """Two convolutions on one input, joined; then one alone, behind a gate on a side path."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.three, self.last = (
            nn.Conv2d(16, 8, 1),
            nn.Conv2d(16, 8, 3, padding=1),
            nn.Conv2d(16, 16, 1),
        )
        self.gate = nn.Conv2d(16, 16, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.last(torch.cat([self.one(x), self.three(x)], 1))
        return y * torch.sigmoid(self.gate(y.mean((2, 3), keepdim=True)))


def test_paths_side_by_side_and_a_gate() -> None:
    found = advice_on(Fire())
    assert found["G3"].layers == ("one", "three")
    assert "2 layers on parallel paths" in found["G3"].findings[0].what
    assert [finding.what.partition(",")[0] for finding in found["G4"].findings] == ["mul"]


def seen(rates: tuple[int, ...], kernel: int) -> bool:
    """Whether one output reads every pixel between the first and the last that it reads."""
    taps = [[rate * (tap - kernel // 2) for tap in range(kernel)] for rate in rates]
    reached = {sum(steps) for steps in itertools.product(*taps)}
    return reached == set(range(min(reached), max(reached) + 1))


@pytest.mark.parametrize(
    ("rates", "fault"),
    [
        ((1, 2, 5), ""),  # the paper's own cases
        ((1, 2, 9), "M2 = 5 > 3"),
        ((2, 2, 2), "common factor 2"),
        ((2, 4, 8), "common factor 2"),
        ((1, 2, 3), ""),
        ((3, 4), "M2 = 4 > 3"),
        ((2,), ""),  # no stack
    ],
)
def test_dilations_of_the_paper(rates: tuple[int, ...], fault: str) -> None:
    assert holes(rates, 3).endswith(fault)
    assert bool(holes(rates, 3)) == bool(fault)


def test_a_stack_that_passes_leaves_no_hole() -> None:
    stacks = [
        rates
        for length in (2, 3, 4)
        for rates in itertools.product(range(1, 6), repeat=length)
        if rates[0] == 1
    ]
    passed = [rates for rates in stacks if not holes(rates, 3)]
    assert len(passed) > 20
    assert all(seen(rates, 3) for rates in passed)
    assert not seen((2, 2, 2), 3)


def test_a_stack_begins_anew_where_the_resolution_changes() -> None:
    def dilated(*rates: int) -> list[nn.Module]:
        return [nn.Conv2d(16, 16, 3, padding=rate, dilation=rate) for rate in rates]

    found = advice_on(nn.Sequential(*dilated(2, 2), nn.Conv2d(16, 16, 1), *dilated(2)))["HDC"]
    assert found.layers == ("0", "1", "3")
    assert "HDC" not in advice_on(nn.Sequential(*dilated(2), nn.MaxPool2d(2), *dilated(2)))


def test_channels_that_the_target_pads() -> None:
    network = nn.Sequential(nn.Conv2d(16, 20, 3, padding=1), nn.Conv2d(20, 10, 3, padding=1))
    found = advice_on(network, channel_multiple=8)["channels"]
    assert found.layers == ("0",)  # the last one's are the classes
    assert "20 channels: 24 where a kernel fills the group (+20%)" in found.findings[0].what
    assert "channels" not in advice_on(network)


def test_layers_that_see_beyond_the_input() -> None:
    wide = [nn.Conv2d(16, 16, 9, padding=4) for _ in range(5)]  # 9, 17, 25, 33, 41
    found = advice_on(nn.Sequential(*wide))["reach"]
    assert found.layers == ("3", "4")
    assert "33×33 in an input of 32×32, from 3 on: 40.0% of the MACs" in found.findings[0].what


def test_times_are_those_that_were_measured_and_no_others() -> None:
    network = nn.Sequential(nn.Conv2d(16, 64, 1), nn.Conv2d(64, 16, 1))
    assert advice_on(network)["G1"].measured_ns is None
    assert advice_on(network, times_ns={})["G1"].measured_ns is None
    found = advice_on(network, times_ns={"0": 300, "else": 5})["G1"]
    assert (found.measured_ns, found.timed_layers, len(found.layers)) == (300, 1, 2)
