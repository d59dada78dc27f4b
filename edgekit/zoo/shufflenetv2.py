"""ShuffleNet V2 (Ma et al. 2018, arXiv:1807.11164), with torchvision's parameter names."""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.zoo.layers import conv_norm_act, initialise, shuffle_channels
from edgekit.zoo.registry import About, network

STEM = 24
REPEATS = (4, 8, 4)
CHANNELS = {
    # width → channels of the stages 2 to 4 and of conv 5 (the paper's table 5; 244 at 2.0 is what both public
    # implementations have)
    "0.5": (48, 96, 192, 1024),
    "1.0": (116, 232, 464, 1024),
    "1.5": (176, 352, 704, 1024),
    "2.0": (244, 488, 976, 2048),
}
ACCURACY = {"0.5": 60.552, "1.0": 69.362, "1.5": 72.996, "2.0": 76.230}


class ShuffleUnit(nn.Module):
    """Half of the channels goes through, half through three convolutions (all of them at stride 2); shuffle."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.stride, half = stride, outputs // 2
        self.branch1 = nn.Sequential()
        if stride == 2:
            self.branch1 = nn.Sequential(
                *conv_norm_act(inputs, inputs, stride=2, groups=inputs, act=None),
                *conv_norm_act(inputs, half, kernel=1, act=nn.ReLU),
            )
        self.branch2 = nn.Sequential(
            *conv_norm_act(inputs if stride == 2 else half, half, kernel=1, act=nn.ReLU),
            *conv_norm_act(half, half, stride=stride, groups=half, act=None),
            *conv_norm_act(half, half, kernel=1, act=nn.ReLU),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H/stride, W/stride)."""
        first, second = (x, x) if self.stride == 2 else x.chunk(2, dim=1)
        return shuffle_channels(torch.cat((self.branch1(first), self.branch2(second)), 1), 2)


class ShuffleNetV2(nn.Module):
    """Images (N, in_channels, H, W) → logits (N, num_classes); H and W are reduced 32 times."""

    def __init__(self, widths: tuple[int, int, int, int], *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        *stages, last = widths
        self.conv1 = conv_norm_act(in_channels, STEM, stride=2, act=nn.ReLU)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        self.stage2, self.stage3, self.stage4 = (
            _stage(inputs, outputs, repeats)
            for inputs, outputs, repeats in zip((STEM, *stages), stages, REPEATS, strict=False)
        )
        self.conv5 = conv_norm_act(stages[-1], last, kernel=1, act=nn.ReLU)
        self.fc = nn.Linear(last, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, num_classes)."""
        x = self.stage4(self.stage3(self.stage2(self.maxpool(self.conv1(x)))))
        logits: Tensor = self.fc(torch.flatten(F.adaptive_avg_pool2d(self.conv5(x), 1), 1))
        return logits


def _stage(inputs: int, outputs: int, repeats: int) -> nn.Sequential:
    rest = [ShuffleUnit(outputs, outputs, stride=1) for _ in range(repeats - 1)]
    return nn.Sequential(ShuffleUnit(inputs, outputs, stride=2), *rest)


def _sized(size: str, *, num_classes: int, in_channels: int, width: float) -> nn.Module:  # noqa: ARG001 (fixed)
    """ShuffleNet V2 at one of the four published sizes."""
    return ShuffleNetV2(CHANNELS[size], num_classes=num_classes, in_channels=in_channels)


for _size in CHANNELS:
    network(
        f"shufflenetv2-x{_size}",
        About(
            family="ShuffleNetV2",
            variant=f"{_size}×",
            accuracy=ACCURACY[_size],
            accuracy_source="ImageNet top-1, torchvision's "
            f"ShuffleNet_V2_X{_size.replace('.', '_')}_Weights.IMAGENET1K_V1",
        ),
    )(partial(_sized, _size))
