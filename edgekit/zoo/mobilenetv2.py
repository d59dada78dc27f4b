"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381), with torchvision's parameter names."""

from __future__ import annotations

import re

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.zoo.layers import conv_norm_act, initialise, make_divisible
from edgekit.zoo.registry import About, network

ROWS = (
    # expansion t, channels c, repeats n, first stride s (the paper's table 2)
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """Pointwise expansion, depthwise 3×3, linear pointwise; a skip where the shape stays."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, expansion: int) -> None:
        super().__init__()
        hidden = inputs * expansion
        expand = [] if expansion == 1 else [conv_norm_act(inputs, hidden, kernel=1)]
        self.skip = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            *expand,
            conv_norm_act(hidden, hidden, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H/stride, W/stride)."""
        y: Tensor = self.conv(x)
        return x + y if self.skip else y


class MobileNetV2(nn.Module):
    """Images (N, in_channels, H, W) → logits (N, num_classes); H and W are reduced 32 times."""

    def __init__(self, *, num_classes: int, in_channels: int, width: float) -> None:
        super().__init__()
        channels, last = make_divisible(32 * width), make_divisible(1280 * max(1.0, width))
        features: list[nn.Module] = [conv_norm_act(in_channels, channels, stride=2)]
        for t, c, n, s in ROWS:
            outputs = make_divisible(c * width)
            for index in range(n):
                stride = s if index == 0 else 1
                features.append(InvertedResidual(channels, outputs, stride=stride, expansion=t))
                channels = outputs
        features.append(conv_norm_act(channels, last, kernel=1))
        self.features = nn.Sequential(*features)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(last, num_classes))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, num_classes)."""
        x = F.adaptive_avg_pool2d(self.features(x), 1)
        logits: Tensor = self.classifier(torch.flatten(x, 1))
        return logits


_LAST = sum(repeats for _, _, repeats, _ in ROWS) + 1
_TIMM_STEM_AND_TAIL = {
    "conv_stem": "features.0.0",
    "bn1": "features.0.1",
    "conv_head": f"features.{_LAST}.0",
    "bn2": f"features.{_LAST}.1",
    "classifier": "classifier.1",
}
_TIMM_BLOCK = {"conv_pw": "0.0", "bn1": "0.1", "conv_dw": "1.0", "bn2": "1.1", "conv_pwl": "2", "bn3": "3"}
_TIMM_FIRST_BLOCK = {"conv_dw": "0.0", "bn1": "0.1", "conv_pw": "1", "bn2": "2"}


def from_timm(key: str) -> str:
    """A parameter's name in timm (`blocks.1.0.conv_pw.weight`) → ours (`features.2.conv.0.0.weight`)."""
    layer, _, kind = key.rpartition(".")
    block = re.fullmatch(r"blocks\.([0-6])\.(\d+)\.(\w+)", layer)
    if block is None:
        return f"{_TIMM_STEM_AND_TAIL[layer]}.{kind}" if layer in _TIMM_STEM_AND_TAIL else key
    stage, index, name = int(block[1]), int(block[2]), block[3]
    names = _TIMM_FIRST_BLOCK if stage == 0 else _TIMM_BLOCK
    place = 1 + sum(repeats for _, _, repeats, _ in ROWS[:stage]) + index
    return f"features.{place}.conv.{names[name]}.{kind}" if name in names else key


@network(
    "mobilenetv2",
    About(
        family="MobileNetV2",
        scalable=True,
        accuracy=72.154,
        accuracy_source="ImageNet top-1, torchvision's MobileNet_V2_Weights.IMAGENET1K_V2",
    ),
    rename=from_timm,
)
def mobilenetv2(*, num_classes: int, in_channels: int, width: float) -> nn.Module:
    """MobileNetV2; a width above 1 widens the last convolution too, one below 1 does not."""
    return MobileNetV2(num_classes=num_classes, in_channels=in_channels, width=width)
