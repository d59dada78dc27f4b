"""Every family of the zoo against published figures, and against what its paper or its authors' code says."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgekit.catalogue import entry_of
from edgekit.errors import InputError
from edgekit.model import Source
from edgekit.zoo import build, catalogue, check_input
from edgekit.zoo.layers import SqueezeExcitation, shuffle_channels
from edgekit.zoo.registry import networks
from edgekit.zoo.shufflenetv1 import channel_counts

ENTRIES = {entry.name: entry for entry in catalogue()}
NAMES = sorted(networks())


def narrow(name: str, classes: int = 7, channels: int = 3) -> nn.Module:
    width = 0.25 if ENTRIES[name].scalable else 1.0
    return build(Source(name=name, num_classes=classes, in_channels=channels, width=width)).eval()


@pytest.mark.parametrize(
    ("name", "params", "macs"),
    [
        ("squeezenet1.0", 1_248_424, 818_924_576),
        ("squeezenet1.1", 1_235_496, 349_151_936),
        ("mobilenetv1", 4_231_976, 568_740_352),
        ("mobilenetv2", 3_504_872, 300_774_272),
        ("mobilenetv3-large", 5_483_032, 216_589_760),
        ("mobilenetv3-small", 2_542_856, 56_510_400),
        ("shufflenetv1-g3", 1_864_728, 137_460_672),
        ("shufflenetv2-x0.5", 1_366_792, None),  # torchvision's metadata, as for 1.5
        ("shufflenetv2-x1.0", 2_278_604, 144_907_992),
        ("shufflenetv2-x1.5", 3_503_624, None),
        ("shufflenetv2-x2.0", 7_393_996, 583_253_464),
        ("shufflenetv2-authors-x1.0", 2_278_760, None),
        ("ghostnet", 5_182_508, 141_150_512),
    ],
)
def test_counts_are_the_published_ones(name: str, params: int, macs: int | None) -> None:
    assert ENTRIES[name].params == params
    assert macs in (None, ENTRIES[name].macs)


@pytest.mark.parametrize(
    ("name", "millions"),
    [
        ("shufflenetv1-g1", 143),  # Zhang et al. 2018, table 1: complexity at 1×
        ("shufflenetv1-g2", 140),
        ("shufflenetv1-g3", 137),
        ("shufflenetv1-g4", 133),
        ("shufflenetv1-g8", 137),
        ("shufflenetv2-authors-x0.5", 41),  # Ma et al. 2018, table 8
        ("shufflenetv2-authors-x1.0", 146),
        ("shufflenetv2-authors-x1.5", 299),
        ("shufflenetv2-authors-x2.0", 591),
        ("ghostnetv2", 167),  # Tang et al. 2022, abstract
    ],
)
def test_macs_are_the_papers(name: str, millions: int) -> None:
    # The paper's table leaves the classifier out, which is at most 1.5 M at 1000 classes.
    assert millions - 0.6 <= ENTRIES[name].macs / 1e6 <= millions + 1.6


def test_half_a_mobilenetv1_is_the_published_one() -> None:
    half = build(Source(name="mobilenetv1", num_classes=1000, width=0.5))
    assert sum(parameter.numel() for parameter in half.parameters()) == 1_331_592


@pytest.mark.parametrize(("name", "field"), [("mobilenetv1", 315), ("mobilenetv2", 491)])
def test_receptive_fields_are_the_published_ones(name: str, field: int) -> None:
    assert ENTRIES[name].receptive_field == (field, field)  # Araujo et al. 2019, table of architectures


@pytest.mark.parametrize("name", NAMES)
def test_the_catalogue_is_what_the_zoo_holds(name: str) -> None:
    assert ENTRIES[name] == entry_of(networks()[name]), "stale: run python -m edgekit.catalogue"


def test_the_catalogue_lists_all_sorted() -> None:
    assert [entry.name for entry in catalogue()] == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_any_size_shape_and_channels(name: str) -> None:
    network, least, step = narrow(name, channels=1), ENTRIES[name].least_input, ENTRIES[name].input_multiple
    with torch.no_grad():
        for sides in ((least, least), (least, 70), (65, 96)):
            height, width = (-(-side // step) * step for side in sides)
            pixels = (height, width) if ENTRIES[name].task == "segmentation" else ()
            assert network(torch.zeros(2, 1, height, width)).shape == (2, 7, *pixels)


@pytest.mark.parametrize("name", ["squeezenet1.0", "squeezenet1.1", "ghostnetv2"])
def test_one_pixel_less_than_the_least_is_too_little(name: str) -> None:
    least = ENTRIES[name].least_input
    with pytest.raises(RuntimeError, match="size"), torch.no_grad():
        narrow(name)(torch.zeros(1, 3, least, least - 1))
    with pytest.raises(InputError, match=rf"below {least}×{least}(.|\n)*--input-size {least}"):
        check_input(ENTRIES[name], least, least - 1)
    check_input(ENTRIES[name], least, least)


@pytest.mark.parametrize("name", NAMES)
def test_a_width_is_heeded_or_refused(name: str) -> None:
    if ENTRIES[name].scalable:
        full = sum(parameter.numel() for parameter in build(Source(name=name, num_classes=7)).parameters())
        assert sum(parameter.numel() for parameter in narrow(name).parameters()) < full / 3
    else:
        with pytest.raises(InputError, match="no width multiplier"):
            build(Source(name=name, num_classes=7, width=0.5))


def test_mobilenetv3_is_as_its_authors_trained_it() -> None:
    norms = [layer for layer in narrow("mobilenetv3-large").modules() if isinstance(layer, nn.BatchNorm2d)]
    assert {(norm.eps, norm.momentum) for norm in norms} == {(0.001, 0.01)}
    large = build(Source(name="mobilenetv3-large", num_classes=2))
    gates = [layer.fc1.out_channels for layer in large.modules() if isinstance(layer, SqueezeExcitation)]
    assert gates == [24, 32, 32, 120, 168, 168, 240, 240]


def test_a_width_scales_mobilenetv3s_head_as_in_torchvision() -> None:
    half = build(Source(name="mobilenetv3-large", num_classes=10, width=0.5)).state_dict()
    assert half["classifier.0.weight"].shape == (640, 480)


def test_squeezenets_pool_with_ceiling() -> None:
    pools = [layer for layer in narrow("squeezenet1.0").modules() if isinstance(layer, nn.MaxPool2d)]
    assert [(pool.kernel_size, pool.stride, pool.ceil_mode) for pool in pools] == [(3, 2, True)] * 3
    assert (narrow("squeezenet1.0")(torch.randn(1, 3, 64, 64)) >= 0).all(), "the head ends in a ReLU"


def test_shuffle_deals_one_channel_of_each_group_in_turn() -> None:
    channels = torch.arange(6.0).view(1, 6, 1, 1)
    assert shuffle_channels(channels, 2).flatten().tolist() == [0, 3, 1, 4, 2, 5]


def test_shufflenetv1_shuffles_as_its_authors_do() -> None:
    unit = build(Source(name="shufflenetv1-g3", num_classes=2)).eval().get_submodule("features.1")
    x = torch.rand(1, 240, 4, 4)
    y = unit.get_submodule("branch_main_1")(x)
    n, c, h, w = y.shape
    dealt = y.reshape(n, c // 3, 3, h, w).permute(0, 2, 1, 3, 4).reshape(n, c, h, w)
    expected = F.relu(x + unit.get_submodule("branch_main_2")(dealt))
    assert torch.equal(unit(x), expected)


@pytest.mark.parametrize(
    ("groups", "width", "counts"),
    [
        (3, 0.5, (12, 120)), (3, 1.0, (24, 240)), (3, 1.5, (24, 360)), (3, 2.0, (48, 480)),
        (8, 0.5, (16, 192)), (8, 1.0, (24, 384)), (8, 1.5, (24, 576)), (8, 2.0, (48, 768)),
    ],
)  # fmt: skip
def test_shufflenetv1_widths_are_the_authors(groups: int, width: float, counts: tuple[int, int]) -> None:
    assert channel_counts(groups, width) == counts


@pytest.mark.parametrize("groups", [1, 2, 3, 4, 8])
@pytest.mark.parametrize("width", [0.1, 0.3, 0.77, 1.25])
def test_shufflenetv1_groups_divide_at_any_width(groups: int, width: float) -> None:
    name = f"shufflenetv1-g{groups}"
    network = build(Source(name=name, num_classes=3, width=width)).eval()
    assert network(torch.zeros(1, 3, 32, 32)).shape == (1, 3)


def test_the_authors_shufflenetv2_parts_even_and_odd_channels() -> None:
    unit = build(Source(name="shufflenetv2-authors-x0.5", num_classes=2)).eval().get_submodule("features.1")
    x = torch.rand(1, 48, 4, 4)
    expected = torch.cat((x[:, ::2], unit.get_submodule("branch_main")(x[:, 1::2])), 1)
    assert torch.equal(unit(x), expected)
    rates = {
        name: [layer.p for layer in narrow(name).modules() if isinstance(layer, nn.Dropout)]
        for name in ("shufflenetv2-authors-x1.0", "shufflenetv2-authors-x2.0")
    }
    assert rates == {"shufflenetv2-authors-x1.0": [0.0], "shufflenetv2-authors-x2.0": [0.2]}


def test_torchvisions_shufflenetv2_parts_halves_and_shuffles_after() -> None:
    unit = build(Source(name="shufflenetv2-x0.5", num_classes=2)).eval().get_submodule("stage2.1")
    x = torch.rand(1, 48, 4, 4)
    changed = unit.get_submodule("branch2")(x[:, 24:])
    assert torch.equal(unit(x), torch.stack((x[:, :24], changed), 2).flatten(1, 2))


def test_ghost_halves_are_the_whole_at_any_width() -> None:
    for width in (0.13, 0.5, 1.3):
        assert build(Source(name="ghostnet", num_classes=2, width=width)).eval()(
            torch.zeros(1, 3, 32, 32)
        ).shape == (1, 2)


def test_ghostnetv2_attends_from_the_third_bottleneck_on() -> None:
    keys = narrow("ghostnetv2").state_dict()
    with_attention = {key.rsplit(".ghost1")[0] for key in keys if ".short_conv." in key}
    bottlenecks = {key.rsplit(".ghost1")[0] for key in keys if ".ghost1." in key}
    assert bottlenecks - with_attention == {"blocks.0.0", "blocks.1.0"}
