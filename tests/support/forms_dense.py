"""Networks with maps as outputs: segmentation, pyramids, decoders; inputs (N, 3, 16, 16)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from forms_convolutional import conv
from torch import Tensor, nn


class Fcn(nn.Module):
    """FCN-8s: scores from three depths, each enlarged by a transposed convolution and added to the next."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.two, self.three = conv(3, 8, stride=2), conv(8, 12, stride=2), conv(12, 16, stride=2)
        self.scores = nn.ModuleList(nn.Conv2d(width, 4, 1) for width in (16, 12, 8))
        self.up2, self.up3 = (
            nn.ConvTranspose2d(4, 4, 2, 2, bias=False),
            nn.ConvTranspose2d(4, 4, 2, 2, bias=False),
        )
        self.last = nn.ConvTranspose2d(4, 4, 4, 2, 1, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        one = self.one(x)
        two = self.two(one)
        three = self.three(two)
        y = self.scores[1](two) + self.up2(self.scores[0](three))
        out: Tensor = self.last(self.scores[2](one) + self.up3(y))
        return out


class HighResolution(nn.Module):
    """HRNet: two resolutions side by side that exchange what they see."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fork = conv(3, 8, stride=2), conv(8, 12, stride=2)
        self.high, self.low = nn.Sequential(conv(8, 8), conv(8, 8)), nn.Sequential(conv(12, 12), conv(12, 12))
        self.rise, self.sink = nn.Conv2d(12, 8, 1), nn.Conv2d(8, 12, 3, 2, 1)
        self.head = nn.Conv2d(20, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        high = self.stem(x)
        low = self.fork(high)
        high, low = self.high(high), self.low(low)
        size = [high.shape[2], high.shape[3]]
        raised = F.interpolate(self.rise(low), size=size, mode="bilinear", align_corners=True)
        high, low = F.relu(high + raised), F.relu(low + self.sink(high))
        out: Tensor = self.head(torch.cat([high, F.interpolate(low, size=size, mode="nearest")], 1))
        return out


class Pyramid(nn.Module):
    """A feature pyramid, and heads that are shared by all its levels."""

    def __init__(self) -> None:
        super().__init__()
        self.stages = nn.ModuleList([conv(3, 8, stride=2), conv(8, 12, stride=2), conv(12, 16, stride=2)])
        self.lateral = nn.ModuleList(nn.Conv2d(width, 10, 1) for width in (8, 12, 16))
        self.smooth = nn.ModuleList(nn.Conv2d(10, 10, 3, padding=1) for _ in range(3))
        self.tower = nn.Sequential(nn.Conv2d(10, 12, 3, padding=1), nn.GroupNorm(4, 12), nn.ReLU())
        self.classes, self.boxes = nn.Conv2d(12, 3, 3, padding=1), nn.Conv2d(12, 4, 3, padding=1)

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        maps = []
        for stage in self.stages:
            x = stage(x)
            maps.append(x)
        levels = [self.lateral[2](maps[2])]
        for index in (1, 0):
            levels.append(self.lateral[index](maps[index]) + F.interpolate(levels[-1], scale_factor=2.0))
        seen = [self.tower(smooth(level)) for smooth, level in zip(self.smooth, levels, strict=True)]
        classes = torch.cat([self.classes(each).flatten(2) for each in seen], 2)
        return classes, [self.boxes(each) for each in seen]


class Decoder(nn.Module):
    """Dilated convolutions, then transposed ones: plain, grouped and depthwise."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 12, stride=4)
        self.context = nn.ModuleList(conv(12, 12, dilation=rate) for rate in (1, 2, 5))
        self.grouped = nn.ConvTranspose2d(12, 16, 2, 2, groups=4)
        self.plain, self.norm = nn.ConvTranspose2d(16, 10, 2, 2), nn.BatchNorm2d(10)
        self.depthwise = nn.ConvTranspose2d(10, 20, 3, 1, 1, groups=10)
        self.out = nn.Conv2d(20, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for layer in self.context:
            x = x + layer(x)
        x = F.relu(self.norm(self.plain(F.leaky_relu(self.grouped(x), 0.1))))
        out: Tensor = self.out(F.elu(self.depthwise(x)))
        return out


class SuperResolution(nn.Module):
    """Sub-pixel upscaling, with the input put beside the features and added at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.act = nn.Conv2d(3, 13, 3, padding=1), nn.PReLU(13)
        self.body, self.grow = nn.Conv2d(16, 32, 3, padding=1), nn.PixelShuffle(2)
        self.refine, self.pack = nn.Conv2d(8, 6, 3, padding=1), nn.PixelUnshuffle(2)
        self.out = nn.Conv2d(24, 12, 1)

    def forward(self, x: Tensor) -> Tensor:
        y = self.act(self.stem(x))
        y = F.relu(self.grow(self.body(torch.cat([y, x], 1))))
        y = self.out(self.pack(self.refine(y)))
        return F.pixel_shuffle(y, 2) + F.interpolate(x, scale_factor=2.0, mode="bicubic")


class Unfolded(nn.Module):
    """Patches unfolded and read by a linear layer; two inputs."""

    def __init__(self) -> None:
        super().__init__()
        self.left, self.right = conv(3, 8), conv(3, 8)
        self.patches, self.head = nn.Linear(8 * 9, 12), nn.Linear(12, 5)

    def forward(self, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        both = self.left(x) - 0.5 * self.right(y)
        tokens = self.patches(F.unfold(both, 3, stride=2).transpose(1, 2))
        scores: Tensor = self.head(tokens.mean(1))
        return scores, tokens.var(2, correction=0)
