"""Networks that move channels about: shuffles, splits, shifts; inputs (N, 3, 16, 16)."""

from __future__ import annotations

from itertools import pairwise

import torch
import torch.nn.functional as F
from forms_convolutional import Squeeze, conv, project
from torch import Tensor, nn


def shuffled(x: Tensor, groups: int) -> Tensor:
    n, c, h, w = x.shape
    return x.view(n, groups, c // groups, h, w).transpose(1, 2).reshape(n, c, h, w)


def branch(inputs: int, outputs: int, stride: int) -> nn.Sequential:
    depthwise = nn.Conv2d(outputs, outputs, 3, stride, 1, groups=outputs, bias=False)
    return nn.Sequential(
        conv(inputs, outputs, 1), depthwise, nn.BatchNorm2d(outputs), conv(outputs, outputs, 1)
    )


class ShuffleNetV2(nn.Module):
    """Half of the channels go round each block; then all are shuffled."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Sequential(conv(3, 8, stride=2), nn.MaxPool2d(3, 2, 1))
        down = nn.Sequential(
            nn.Conv2d(8, 8, 3, 2, 1, groups=8, bias=False), nn.BatchNorm2d(8), conv(8, 12, 1)
        )
        self.left, self.right = down, branch(8, 12, 2)
        self.blocks = nn.ModuleList(branch(12, 12, 1) for _ in range(2))
        self.last, self.head = conv(24, 20, 1), nn.Linear(20, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = shuffled(torch.cat([self.left(x), self.right(x)], 1), 2)
        for block in self.blocks:
            left, right = x.chunk(2, dim=1)
            x = shuffled(torch.cat([left, block(right)], 1), 2)
        y: Tensor = self.head(self.last(x).mean((2, 3)))
        return y


class AuthorsShuffle(nn.Module):
    """ShuffleNetV2 as its authors wrote it: even channels go round, odd ones through the block."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 16, stride=2)
        self.blocks = nn.ModuleList(branch(8, 8, 1) for _ in range(2))
        self.last, self.head = conv(16, 12, 1), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            n, c, h, w = x.shape
            pairs = x.reshape(n * c // 2, 2, h * w).permute(1, 0, 2).reshape(2, -1, c // 2, h, w)
            x = torch.cat([pairs[0], block(pairs[1])], 1)
        y: Tensor = self.head(self.last(x).mean((2, 3)))
        return y


class GroupedUnit(nn.Module):
    """ShuffleNetV1's unit; the shuffle as its authors wrote it, (C / groups, groups) transposed."""

    def __init__(self, channels: int, inner: int, groups: int) -> None:
        super().__init__()
        self.groups = groups
        self.reduce, self.expand = (
            conv(channels, inner, 1, groups=groups),
            nn.Conv2d(inner, channels, 1, groups=groups),
        )
        self.depthwise, self.norm = (
            nn.Conv2d(inner, inner, 3, padding=1, groups=inner),
            nn.BatchNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        y = self.depthwise(self.reduce(x))
        n, c, h, w = y.shape
        y = y.reshape(n, c // self.groups, self.groups, h, w).permute(0, 2, 1, 3, 4).reshape(n, c, h, w)
        return F.relu(x + self.norm(self.expand(y)))


class ShuffleNetV1(nn.Module):
    """Grouped pointwise convolutions with a shuffle between; a stride joins the pooled input."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.down = conv(3, 6, stride=2), conv(6, 12, stride=2)
        self.blocks = nn.Sequential(GroupedUnit(18, 12, 3), GroupedUnit(18, 12, 3))
        self.head = nn.Linear(18, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = torch.cat([F.avg_pool2d(x, 3, 2, 1), self.down(x)], 1)
        y: Tensor = self.head(self.blocks(x).mean((2, 3)))
        return y


class Ghost(nn.Module):
    """Some channels by a convolution, the others from these by a depthwise one; too many are cut off."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        own = -(-outputs // 2)
        self.outputs = outputs
        self.primary, self.cheap = conv(inputs, own, 1), conv(own, own, groups=own)

    def forward(self, x: Tensor) -> Tensor:
        x = self.primary(x)
        return torch.cat([x, self.cheap(x)], 1)[:, : self.outputs]


class GhostNet(nn.Module):
    """Ghost bottlenecks with squeeze-and-excitation and skips."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.shortcut = conv(3, 8, stride=2), nn.Sequential(project(8, 12, 3), project(12, 12))
        self.one, self.gate, self.two = Ghost(8, 16), Squeeze(16, 4), Ghost(16, 12)
        self.three, self.four = Ghost(12, 15), Ghost(15, 12)
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = self.shortcut(x) + self.two(self.gate(self.one(x)))
        x = x + self.four(self.three(x))
        y: Tensor = self.head(x.mean((2, 3)))
        return y


class Shifted(nn.Module):
    """UNeXt's token MLP: five chunks of channels, each shifted by another amount, before each linear layer."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.fc1, self.fc2 = nn.Linear(channels, hidden), nn.Linear(hidden, channels)
        self.depthwise = nn.Conv2d(hidden, hidden, 3, padding=1, groups=hidden)

    def shift(self, tokens: Tensor, height: int, width: int, axis: int) -> Tensor:
        n, _, c = tokens.shape
        x = F.pad(tokens.transpose(1, 2).reshape(n, c, height, width), (2, 2, 2, 2))
        parts = [torch.roll(part, by, axis) for part, by in zip(x.chunk(5, 1), range(-2, 3), strict=False)]
        x = torch.cat(parts, 1).narrow(2, 2, height).narrow(3, 2, width)
        return x.reshape(n, c, height * width).transpose(1, 2)

    def forward(self, tokens: Tensor, height: int, width: int) -> Tensor:
        n = tokens.shape[0]
        x = self.fc1(self.shift(tokens, height, width, 2))
        x = self.depthwise(x.transpose(1, 2).reshape(n, x.shape[2], height, width)).flatten(2).transpose(1, 2)
        y: Tensor = self.fc2(self.shift(F.gelu(x), height, width, 3))
        return y


class UNeXt(nn.Module):
    """Convolutions, a shifted MLP on tokens between layer norms, a decoder with skips."""

    def __init__(self) -> None:
        super().__init__()
        self.encoder, self.embed = conv(3, 8), nn.Conv2d(8, 20, 3, 2, 1)
        self.norm0, self.norm1, self.norm2 = (nn.LayerNorm(20) for _ in range(3))
        self.mlp, self.decoder, self.bn = Shifted(20, 16), nn.Conv2d(20, 8, 3, padding=1), nn.BatchNorm2d(8)
        self.final = nn.Conv2d(8, 1, 1)

    def forward(self, x: Tensor) -> Tensor:
        skip = F.relu(F.max_pool2d(self.encoder(x), 2))
        x = self.embed(skip)
        n, _, h, w = x.shape
        tokens = self.norm0(x.flatten(2).transpose(1, 2))
        tokens = self.norm2(tokens + self.mlp(self.norm1(tokens), h, w))
        x = self.bn(self.decoder(tokens.reshape(n, h, w, -1).permute(0, 3, 1, 2).contiguous()))
        x = F.relu(F.interpolate(x, scale_factor=(2, 2), mode="bilinear")) + skip
        y: Tensor = self.final(x)
        return y


class Reordered(nn.Module):
    """Channels in a constant order and backwards, an even cut by steps, a gated unit, a shuffle by the operator."""

    order: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("order", torch.tensor([3, 0, 7, 5, 1, 2, 6, 4, 11, 10, 9, 8]))
        self.stem, self.gated, self.mix = conv(3, 12), nn.Conv2d(12, 16, 1), nn.Conv2d(8, 8, 1, groups=2)
        self.last, self.head = nn.Conv2d(8, 10, 3, padding=1), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = torch.flip(self.stem(x)[:, self.order], [1])
        x = F.channel_shuffle(self.mix(F.glu(self.gated(x), 1)), 2)
        x = torch.cat([x[:, 0::2], x[:, 1::2]], 1)
        y: Tensor = self.head(F.instance_norm(self.last(x)).mean((2, 3)))
        return y


class CrossStage(nn.Module):
    """YOLOv4's neck in small: cross-stage parts, spatial pyramid pooling, a path up and down, two outputs."""

    def __init__(self) -> None:
        super().__init__()
        widths = (3, 8, 16)
        self.stem = nn.Sequential(*(conv(one, two, stride=2) for one, two in pairwise(widths)))
        self.part1, self.part2, self.inner = conv(16, 8, 1), conv(16, 8, 1), conv(8, 8)
        self.join, self.pyramid = conv(16, 12, 1), conv(48, 12, 1)
        self.down, self.up = conv(12, 12, stride=2), conv(24, 10, 1)
        self.small, self.large = nn.Conv2d(12, 6, 1), nn.Conv2d(10, 6, 1)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x = self.stem(x)
        part = self.part1(x)
        x = self.join(torch.cat([self.part2(x), part + self.inner(part)], 1))
        x = self.pyramid(torch.cat([x, *(F.max_pool2d(x, size, 1, size // 2) for size in (3, 5, 7))], 1))
        low = self.down(x)
        high = self.up(torch.cat([x, F.interpolate(low, scale_factor=2.0)], 1))
        return self.small(low), self.large(high)


class SplitStage(nn.Module):
    """YOLOv8's cross-stage part: one convolution, split in two, each block's output joined to all before."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.enter, self.leave = conv(3, 8, stride=2), conv(8, 16, 1), conv(32, 12, 1)
        self.blocks = nn.ModuleList(conv(8, 8) for _ in range(2))
        self.head = nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        parts = list(self.enter(self.stem(x)).chunk(2, 1))
        for block in self.blocks:
            parts.append(block(parts[-1]))
        y: Tensor = self.head(self.leave(torch.cat(parts, 1)).mean((2, 3)))
        return y
