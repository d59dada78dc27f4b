"""ShuffleNet V2 (Ma et al. 2018, arXiv:1807.11164) as its authors published the code and the weights.

It is another network than torchvision's: even and odd channels part at the start of a unit, where
torchvision shuffles at its end, the branch beside a stride keeps its width, and the classifier has no bias.
"""

from __future__ import annotations

from functools import partial

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.zoo.layers import conv_norm_act, initialise, shuffle_channels
from edgekit.zoo.registry import About, network
from edgekit.zoo.shufflenetv2 import CHANNELS, REPEATS, STEM

DROPOUT = {"2.0": 0.2}
ACCURACY = {"1.0": 69.4}


class ShuffleUnit(nn.Module):
    """Even channels go through, odd ones through three convolutions (all of them, twice, at stride 2)."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.stride, middle = stride, outputs // 2
        arriving = inputs if stride == 2 else inputs // 2
        self.branch_main = nn.Sequential(
            *conv_norm_act(arriving, middle, kernel=1, act=nn.ReLU),
            *conv_norm_act(middle, middle, stride=stride, groups=middle, act=None),
            *conv_norm_act(middle, outputs - arriving, kernel=1, act=nn.ReLU),
        )
        self.branch_proj = nn.Sequential()
        if stride == 2:
            self.branch_proj = nn.Sequential(
                *conv_norm_act(inputs, inputs, stride=2, groups=inputs, act=None),
                *conv_norm_act(inputs, inputs, kernel=1, act=nn.ReLU),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H/stride, W/stride)."""
        even, odd = (x, x) if self.stride == 2 else _parted(x)
        return torch.cat((self.branch_proj(even), self.branch_main(odd)), 1)


class AuthorsShuffleNetV2(nn.Module):
    """Images (N, in_channels, H, W) → logits (N, num_classes); H and W are reduced 32 times."""

    def __init__(
        self, widths: tuple[int, int, int, int], dropout: float, *, num_classes: int, in_channels: int
    ) -> None:
        super().__init__()
        channels, (*stages, last) = STEM, widths
        self.first_conv = conv_norm_act(in_channels, channels, stride=2, act=nn.ReLU)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        features: list[nn.Module] = []
        for outputs, repeats in zip(stages, REPEATS, strict=True):
            for index in range(repeats):
                features.append(ShuffleUnit(channels, outputs, stride=2 if index == 0 else 1))
                channels = outputs
        self.features = nn.Sequential(*features)
        self.conv_last = conv_norm_act(channels, last, kernel=1, act=nn.ReLU)
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Sequential(nn.Linear(last, num_classes, bias=False))
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, num_classes)."""
        x = self.conv_last(self.features(self.maxpool(self.first_conv(x))))
        x = self.dropout(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        logits: Tensor = self.classifier(x)
        return logits


def _parted(x: Tensor) -> tuple[Tensor, Tensor]:
    """Even and odd channels, each (N, C/2, H, W)."""
    even, odd = shuffle_channels(x, x.shape[1] // 2).chunk(2, dim=1)
    return even, odd


def _sized(size: str, *, num_classes: int, in_channels: int, width: float) -> nn.Module:  # noqa: ARG001 (fixed)
    """The authors' ShuffleNet V2 at one of the four published sizes."""
    dropout = DROPOUT.get(size, 0.0)
    return AuthorsShuffleNetV2(CHANNELS[size], dropout, num_classes=num_classes, in_channels=in_channels)


for _size in CHANNELS:
    network(
        f"shufflenetv2-authors-x{_size}",
        About(
            family="ShuffleNetV2",
            variant=f"authors' {_size}×",
            accuracy=ACCURACY.get(_size),
            accuracy_source="ImageNet top-1, the paper" if _size in ACCURACY else "",
        ),
    )(partial(_sized, _size))
