"""The blocks of all families, in small networks, as INT8 files of every format: exact, and integers throughout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from exporting import answers, exported, quantized
from torch import nn

from edgekit.exporters import integer_counts
from edgekit.exporters.rules import breaches
from edgekit.parity import sqnr_db
from edgekit.target import list_targets, load_target
from edgekit.zoo import ghostnet, ghostnetv2, mobilenetv1, shufflenetv1, shufflenetv2, shufflenetv2_authors
from edgekit.zoo.layers import conv_norm_act
from edgekit.zoo.mobilenetv3 import HS, RE, InvertedResidual
from edgekit.zoo.squeezenet import POOL, SqueezeNet

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

CLASSES = 10


def around(*blocks: nn.Module, inputs: int, outputs: int) -> nn.Module:
    """A stem in front of blocks, and pooling and MobileNetV3's head behind them."""
    stem = conv_norm_act(3, inputs, stride=2, act=nn.ReLU)
    head = (nn.Linear(outputs, 16), nn.Hardswish(), nn.Linear(16, CLASSES))
    return nn.Sequential(stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), *head)


def squeezenet() -> nn.Module:
    """Poolings with ceiling, concatenations, a ReLU and a pooling at the end."""
    return SqueezeNet((POOL, (8, 16), POOL, (8, 16)), nn.Conv2d(3, 16, 3, 2), num_classes=CLASSES)


def mobilenets() -> nn.Module:
    """Separable convolutions of V1; gates, hard swish and kernels of 5 of V3."""
    separable = mobilenetv1.Separable(16, 16, stride=2, act=nn.ReLU6)
    rows = ((0, 3, 16, 16, True, RE, 2), (1, 5, 48, 24, False, HS, 1), (1, 5, 48, 24, True, HS, 1))
    blocks = (InvertedResidual(inputs, row, 1.0) for inputs, row in zip((16, 16, 24), rows, strict=True))
    return around(separable, *blocks, inputs=16, outputs=24)


def shufflenets() -> nn.Module:
    """Grouped convolutions and shuffles of V1, the two forms of V2."""
    return around(
        nn.MaxPool2d(3, 2, 1),
        shufflenetv1.ShuffleUnit(12, 24, groups=3, stride=2, first=True),
        shufflenetv1.ShuffleUnit(24, 24, groups=3, stride=1, first=False),
        shufflenetv2.ShuffleUnit(24, 24, stride=1),
        shufflenetv2_authors.ShuffleUnit(24, 24, stride=1),
        inputs=12,
        outputs=24,
    )


def ghostnets() -> nn.Module:
    """Ghosts with a gate and a stride, and those of V2 with attention; the convolution before the pooling."""
    rows = ((0, 5, 32, 24, True, 2), (0, 3, 48, 24, False, 1))
    gated = ghostnet.GhostBottleneck(16, rows[0], 1.0, ghostnet.Ghost)
    attentive = ghostnet.GhostBottleneck(24, rows[1], 1.0, ghostnetv2.AttentiveGhost)
    return around(gated, attentive, ghostnet.PointwiseTail(24, 32), inputs=16, outputs=32)


def distinct() -> list[str]:
    """Of targets whose files come out alike the first one."""
    found: dict[object, str] = {}
    for target in list_targets():
        kind = (target.format, target.int8.model_dump_json(), target.file_rules.model_dump_json())
        found.setdefault(kind, target.id)
    return list(found.values())


@pytest.mark.parametrize("target", distinct())
@pytest.mark.parametrize("family", [squeezenet, mobilenets, shufflenets, ghostnets])
def test_int8_files_compute_what_the_quantized_network_does(
    family: Callable[[], nn.Module], target: str, tmp_path: Path
) -> None:
    artifact = exported(quantized(family, target), target, tmp_path)
    rules = load_target(target).file_rules
    assert artifact.manifest.int8_rules == rules
    assert breaches(artifact.model_path, rules) == []
    images, expected = artifact.parity()
    assert sqnr_db(expected, answers(artifact, load_target(target).proxy_runtime, images)) >= 30
    counts = integer_counts(artifact)
    assert counts.integer == counts.weighted > 0
