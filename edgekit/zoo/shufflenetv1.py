"""ShuffleNet (Zhang et al. 2018, arXiv:1707.01083), with its authors' parameter names."""

from __future__ import annotations

import math
from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.zoo.layers import conv_norm_act, initialise, make_divisible, shuffle_channels
from edgekit.zoo.registry import About, network

STEM = 24
STAGE_2 = {1: 144, 2: 200, 3: 240, 4: 272, 8: 384}
"""Groups → channels of the first stage, which double in each that follows (the paper's table 1)."""
REPEATS = (4, 8, 4)


class ShuffleUnit(nn.Module):
    """Grouped pointwise, depthwise 3×3, shuffle, grouped pointwise; added to the input, or beside it pooled."""

    def __init__(self, inputs: int, outputs: int, *, groups: int, stride: int, first: bool) -> None:
        super().__init__()
        self.stride, self.groups = stride, groups
        middle, added = outputs // 4, outputs - inputs if stride == 2 else outputs
        self.branch_main_1 = nn.Sequential(
            # the first of all has too few channels to be grouped
            *conv_norm_act(inputs, middle, kernel=1, groups=1 if first else groups, act=nn.ReLU),
            *conv_norm_act(middle, middle, stride=stride, groups=middle, act=None),
        )
        self.branch_main_2 = conv_norm_act(middle, added, kernel=1, groups=groups, act=None)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H/stride, W/stride)."""
        y = self.branch_main_1(x)
        if self.groups > 1:
            y = shuffle_channels(y, y.shape[1] // self.groups)
        y = self.branch_main_2(y)
        if self.stride == 1:
            return F.relu(x + y)
        return torch.cat((F.avg_pool2d(x, 3, 2, 1), F.relu(y)), 1)


class ShuffleNetV1(nn.Module):
    """Images (N, in_channels, H, W) → logits (N, num_classes); H and W are reduced 32 times."""

    def __init__(self, groups: int, *, num_classes: int, in_channels: int, width: float) -> None:
        super().__init__()
        channels, outputs = channel_counts(groups, width)
        self.first_conv = conv_norm_act(in_channels, channels, stride=2, act=nn.ReLU)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        features: list[nn.Module] = []
        for repeats in REPEATS:
            for index in range(repeats):
                stride = 2 if index == 0 else 1
                unit = ShuffleUnit(channels, outputs, groups=groups, stride=stride, first=not features)
                features.append(unit)
                channels = outputs
            outputs *= 2
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Linear(channels, num_classes, bias=False))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, num_classes)."""
        x = self.features(self.maxpool(self.first_conv(x)))
        logits: Tensor = self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        return logits


def channel_counts(groups: int, width: float) -> tuple[int, int]:
    """The channels of the stem and of the first stage, as the authors have them at 0.5, 1, 1.5 and 2.

    Their stem follows the width below 1 (12 at 0.5, or 16, where 8 groups must divide it) and whole widths
    above (24 at 1.5). Every branch of every unit divides by the groups.
    """
    stem = STEM * (math.floor(width) if width > 1 else width)
    return math.ceil(stem / groups) * groups, make_divisible(STAGE_2[groups] * width, 4 * groups)


def _grouped(groups: int, *, num_classes: int, in_channels: int, width: float) -> nn.Module:
    """ShuffleNet with that many groups; a width scales stem and stages."""
    return ShuffleNetV1(groups, num_classes=num_classes, in_channels=in_channels, width=width)


for _groups in STAGE_2:
    network(
        f"shufflenetv1-g{_groups}",
        About(
            family="ShuffleNetV1",
            variant=f"{_groups} group{'s' * (_groups > 1)}",
            scalable=True,
            accuracy=67.8 if _groups == 3 else None,
            accuracy_source="ImageNet top-1 of the authors' weights" if _groups == 3 else "",
        ),
    )(partial(_grouped, _groups))
