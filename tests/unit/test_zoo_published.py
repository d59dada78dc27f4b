"""Parameters and multiply-accumulates at every published width, as far as they were printed."""

from __future__ import annotations

import pytest

from edgekit.graph.cost import cost
from edgekit.model import Source
from edgekit.zoo import build, catalogue

ENTRIES = {entry.name: entry for entry in catalogue()}


def params(name: str, width: float = 1.0) -> int:
    module = build(Source(name=name, num_classes=ENTRIES[name].num_classes, width=width))
    return sum(value.numel() for value in module.parameters())


@pytest.mark.parametrize(
    ("name", "width", "millions"),
    [
        # timm's results/benchmark-*.csv, param_count
        ("mobilenetv1", 1.0, "4.23"), ("mobilenetv1", 1.25, "6.27"), ("mobilenetv1-relu", 1.0, "4.23"),
        ("mobilenetv2", 0.35, "1.68"), ("mobilenetv2", 0.5, "1.97"), ("mobilenetv2", 0.75, "2.64"),
        ("mobilenetv2", 1.0, "3.50"), ("mobilenetv2", 1.4, "6.11"),
        ("mobilenetv3-small", 1.0, "2.54"), ("mobilenetv3-large", 1.0, "5.48"),
        ("ghostnet", 0.5, "2.59"), ("ghostnet", 1.0, "5.18"), ("ghostnet", 1.3, "7.36"),
        # timm's model cards
        ("ghostnetv2", 1.3, "9.0"), ("ghostnetv2", 1.6, "12.4"),
        # the tables of the authors' repository (megvii-model/ShuffleNet-Series)
        ("shufflenetv1-g3", 0.5, "0.7"), ("shufflenetv1-g3", 1.0, "1.9"), ("shufflenetv1-g3", 1.5, "3.4"),
        ("shufflenetv1-g3", 2.0, "5.4"), ("shufflenetv1-g8", 0.5, "1.0"), ("shufflenetv1-g8", 1.0, "2.4"),
        ("shufflenetv1-g8", 1.5, "4.3"), ("shufflenetv1-g8", 2.0, "6.5"),
        ("shufflenetv2-authors-x0.5", 1.0, "1.4"), ("shufflenetv2-authors-x1.0", 1.0, "2.3"),
        ("shufflenetv2-authors-x1.5", 1.0, "3.5"), ("shufflenetv2-authors-x2.0", 1.0, "7.4"),
        # as the authors of ShuffleNet quote MobileNet's paper there
        ("mobilenetv1", 0.25, "0.5"), ("mobilenetv1", 0.5, "1.3"), ("mobilenetv1", 0.75, "2.6"),
    ],
)  # fmt: skip
def test_parameters_are_those_that_were_printed(name: str, width: float, millions: str) -> None:
    decimals = len(millions.partition(".")[2])
    assert f"{params(name, width) / 1e6:.{decimals}f}" == millions


@pytest.mark.parametrize(
    ("name", "width", "printed"),
    [
        ("mobilenetv1", 0.5, 149_497_088),
        # "FLOPs" in the tables of megvii-model/ShuffleNet-Series and "_ops" in torchvision are such, in millions
        ("mobilenetv1", 0.25, 41), ("mobilenetv1", 0.5, 149), ("mobilenetv1", 0.75, 325),
        ("shufflenetv1-g3", 0.5, 38), ("shufflenetv1-g8", 0.5, 40), ("shufflenetv1-g3", 1.5, 292),
        ("shufflenetv1-g8", 1.5, 290), ("shufflenetv1-g3", 2.0, 524), ("shufflenetv1-g8", 2.0, 522),
        ("shufflenetv2-authors-x1.0", 1.0, 146), ("shufflenetv2-x0.5", 1.0, 40), ("shufflenetv2-x1.5", 1.0, 296),
    ],
)  # fmt: skip
def test_macs_are_those_that_were_printed(name: str, width: float, printed: int) -> None:
    module = build(Source(name=name, num_classes=1000, width=width))
    found = cost(module, (1, 3, 224, 224)).macs
    assert printed in (found, round(found / 1e6))


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("unext", (1_471_921, 562_003_968)),
        ("unext-s", (253_561, 99_229_696)),
        ("mobilenetv1-relu", (4_231_976, 568_740_352)),  # as with ReLU6
    ],
)
def test_the_catalogue_has_the_published_counts(name: str, counts: tuple[int, int]) -> None:
    assert (ENTRIES[name].params, ENTRIES[name].macs) == counts
