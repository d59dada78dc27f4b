"""MobileNetV3 (Howard et al. 2019, arXiv:1905.02244), with torchvision's parameter names."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.zoo.layers import SqueezeExcitation, conv_norm_act, initialise, make_divisible
from edgekit.zoo.names import by_layer
from edgekit.zoo.registry import About, network

RE, HS = nn.ReLU, nn.Hardswish
EPS, TIMM_EPS = 1e-3, 1e-5
"""torchvision's, as TensorFlow's, and that with which timm trained its own weights."""
NORM = partial(nn.BatchNorm2d, eps=EPS, momentum=0.01)
Row = tuple[int, int, int, int, bool, type[nn.Module], int]

LARGE: tuple[Row, ...] = (
    # stage (timm's), kernel k, expanded channels, channels c, squeeze-and-excitation, activation, stride s
    # (the paper's table 1)
    (0, 3, 16, 16, False, RE, 1),
    (1, 3, 64, 24, False, RE, 2),
    (1, 3, 72, 24, False, RE, 1),
    (2, 5, 72, 40, True, RE, 2),
    (2, 5, 120, 40, True, RE, 1),
    (2, 5, 120, 40, True, RE, 1),
    (3, 3, 240, 80, False, HS, 2),
    (3, 3, 200, 80, False, HS, 1),
    (3, 3, 184, 80, False, HS, 1),
    (3, 3, 184, 80, False, HS, 1),
    (4, 3, 480, 112, True, HS, 1),
    (4, 3, 672, 112, True, HS, 1),
    (5, 5, 672, 160, True, HS, 2),
    (5, 5, 960, 160, True, HS, 1),
    (5, 5, 960, 160, True, HS, 1),
)
SMALL: tuple[Row, ...] = (
    # the same columns (the paper's table 2)
    (0, 3, 16, 16, True, RE, 2),
    (1, 3, 72, 24, False, RE, 2),
    (1, 3, 88, 24, False, RE, 1),
    (2, 5, 96, 40, True, HS, 2),
    (2, 5, 240, 40, True, HS, 1),
    (2, 5, 240, 40, True, HS, 1),
    (3, 5, 120, 48, True, HS, 1),
    (3, 5, 144, 48, True, HS, 1),
    (4, 5, 288, 96, True, HS, 2),
    (4, 5, 576, 96, True, HS, 1),
    (4, 5, 576, 96, True, HS, 1),
)


class InvertedResidual(nn.Module):
    """Pointwise expansion, depthwise k×k, maybe a gate, linear pointwise; a skip where the shape stays."""

    def __init__(self, inputs: int, row: Row, width: float) -> None:
        super().__init__()
        _, kernel, expanded, outputs, gated, act, stride = row
        hidden, outputs = make_divisible(expanded * width), make_divisible(outputs * width)
        layers: list[nn.Module] = []
        if hidden != inputs:
            layers.append(conv_norm_act(inputs, hidden, kernel=1, norm=NORM, act=act))
        layers.append(
            conv_norm_act(hidden, hidden, kernel=kernel, stride=stride, groups=hidden, norm=NORM, act=act)
        )
        if gated:
            layers.append(SqueezeExcitation(hidden, make_divisible(hidden // 4)))
        layers.append(conv_norm_act(hidden, outputs, kernel=1, norm=NORM, act=None))
        self.skip = stride == 1 and inputs == outputs
        self.block = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H/stride, W/stride)."""
        y: Tensor = self.block(x)
        return x + y if self.skip else y


class MobileNetV3(nn.Module):
    """Images (N, in_channels, H, W) → logits (N, num_classes); H and W are reduced 32 times."""

    def __init__(
        self, rows: tuple[Row, ...], last: int, *, num_classes: int, in_channels: int, width: float
    ) -> None:
        super().__init__()
        channels = make_divisible(16 * width)
        features: list[nn.Module] = [conv_norm_act(in_channels, channels, stride=2, norm=NORM, act=HS)]
        for row in rows:
            features.append(InvertedResidual(channels, row, width))
            channels = make_divisible(row[3] * width)
        hidden, last = 6 * channels, make_divisible(last * width)
        features.append(conv_norm_act(channels, hidden, kernel=1, norm=NORM, act=HS))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(
            nn.Linear(hidden, last), nn.Hardswish(), nn.Dropout(0.2), nn.Linear(last, num_classes)
        )
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, num_classes)."""
        x = F.adaptive_avg_pool2d(self.features(x), 1)
        logits: Tensor = self.classifier(torch.flatten(x, 1))
        return logits


_TIMM_PARTS = (
    ("conv_pw", "bn1"),
    ("conv_dw", "bn2"),
    ("se.conv_reduce", "se.conv_expand"),
    ("conv_pwl", "bn3"),
)
_TIMM_FIRST_PARTS = (("conv_dw", "bn1"), ("se.conv_reduce", "se.conv_expand"), ("conv_pw", "bn2"))


def timm_layers(rows: tuple[Row, ...]) -> dict[str, str]:
    """A layer's name in timm (`blocks.1.0.conv_pw`) → ours (`features.2.block.0.0`).

    timm's `conv_head` is a convolution on one pixel, with the weights of our first linear layer. Its `tf_…` networks
    have the same names and sizes, but pad as TensorFlow does: they are others than ours, which no file tells.
    """
    last, tail = len(rows) + 1, rows[-1][0] + 1
    names = {
        "conv_stem": "features.0.0",
        "bn1": "features.0.1",
        f"blocks.{tail}.0.conv": f"features.{last}.0",
        f"blocks.{tail}.0.bn1": f"features.{last}.1",
        "conv_head": "classifier.0",
        "classifier": "classifier.3",
    }
    for place, row in enumerate(rows):
        index = sum(before[0] == row[0] for before in rows[:place])
        parts = _TIMM_PARTS if place else _TIMM_FIRST_PARTS
        for number, pair in enumerate(part for part in parts if row[4] or not part[0].startswith("se.")):
            for theirs, ours in zip(pair, ("fc1", "fc2") if "se." in pair[0] else "01", strict=True):
                names[f"blocks.{row[0]}.{index}.{theirs}"] = f"features.{place + 1}.block.{number}.{ours}"
    return names


@network(
    "mobilenetv3-large",
    About(
        family="MobileNetV3",
        variant="Large",
        scalable=True,
        accuracy=75.274,
        accuracy_source="ImageNet top-1, torchvision's MobileNet_V3_Large_Weights.IMAGENET1K_V2",
    ),
    rename=by_layer(timm_layers(LARGE)),
    variance_shift=TIMM_EPS - EPS,
)
def mobilenetv3_large(*, num_classes: int, in_channels: int, width: float) -> nn.Module:
    """MobileNetV3-Large; a width scales the head too, as in torchvision (timm keeps it at 1280)."""
    return MobileNetV3(LARGE, 1280, num_classes=num_classes, in_channels=in_channels, width=width)


@network(
    "mobilenetv3-small",
    About(
        family="MobileNetV3",
        variant="Small",
        scalable=True,
        accuracy=67.668,
        accuracy_source="ImageNet top-1, torchvision's MobileNet_V3_Small_Weights.IMAGENET1K_V1",
    ),
    rename=by_layer(timm_layers(SMALL)),
    variance_shift=TIMM_EPS - EPS,
)
def mobilenetv3_small(*, num_classes: int, in_channels: int, width: float) -> nn.Module:
    """MobileNetV3-Small; a width scales the head too, as in torchvision (timm keeps it at 1024)."""
    return MobileNetV3(SMALL, 1024, num_classes=num_classes, in_channels=in_channels, width=width)
