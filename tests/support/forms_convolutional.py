"""Convolutional classifiers in small, each in the form of a published network; inputs (N, 3, 16, 16)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def conv(
    inputs: int, outputs: int, kernel: int = 3, *, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Sequential:
    """Convolution, batch norm, ReLU."""
    padding = dilation * (kernel // 2)
    layer = nn.Conv2d(inputs, outputs, kernel, stride, padding, dilation, groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), nn.ReLU())


def project(inputs: int, outputs: int, kernel: int = 1) -> nn.Sequential:
    """Convolution and batch norm."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, padding=kernel // 2, bias=False), nn.BatchNorm2d(outputs)
    )


class Squeeze(nn.Module):
    """Squeeze-and-excitation."""

    def __init__(self, channels: int, inner: int, gate: type[nn.Module] = nn.Sigmoid) -> None:
        super().__init__()
        self.reduce, self.expand, self.gate = (
            nn.Conv2d(channels, inner, 1),
            nn.Conv2d(inner, channels, 1),
            gate(),
        )

    def forward(self, x: Tensor) -> Tensor:
        scale: Tensor = self.gate(self.expand(F.relu(self.reduce(F.adaptive_avg_pool2d(x, 1)))))
        return x * scale


class SqueezeLinear(nn.Module):
    """Squeeze-and-excitation in linear layers, spread with `expand_as`."""

    def __init__(self, channels: int, inner: int) -> None:
        super().__init__()
        self.reduce, self.expand = nn.Linear(channels, inner), nn.Linear(inner, channels)

    def forward(self, x: Tensor) -> Tensor:
        scale = torch.sigmoid(self.expand(F.relu(self.reduce(x.mean((2, 3))))))
        return x * scale.view(scale.shape[0], scale.shape[1], 1, 1).expand_as(x)


class Bottleneck(nn.Module):
    """ResNet's, ResNeXt's with groups, RegNetY's with groups and squeeze-and-excitation."""

    def __init__(
        self, inputs: int, inner: int, outputs: int, *, groups: int = 1, squeeze: bool = False
    ) -> None:
        super().__init__()
        middle = [conv(inner, inner, groups=groups), *([Squeeze(inner, 4)] if squeeze else [])]
        self.branch = nn.Sequential(conv(inputs, inner, 1), *middle, project(inner, outputs))
        self.shortcut = project(inputs, outputs) if inputs != outputs else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(x) + self.shortcut(x))


class Residual(nn.Module):
    """Stem, two stages of two blocks, mean, linear."""

    def __init__(self, groups: int, *, squeeze: bool) -> None:
        super().__init__()
        self.stem, self.pool = conv(3, 8, stride=2), nn.MaxPool2d(3, 2, 1)
        self.stages = nn.Sequential(
            Bottleneck(8, 8, 16, groups=groups, squeeze=squeeze),
            Bottleneck(16, 8, 16, groups=groups, squeeze=squeeze),
            Bottleneck(16, 16, 24, groups=groups, squeeze=squeeze),
            Bottleneck(24, 16, 24, groups=groups, squeeze=squeeze),
        )
        self.head = nn.Linear(24, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stages(self.pool(self.stem(x)))
        y: Tensor = self.head(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        return y


def resnet() -> nn.Module:
    return Residual(1, squeeze=False)


def resnext() -> nn.Module:
    return Residual(4, squeeze=False)


def regnet() -> nn.Module:
    return Residual(2, squeeze=True)


class Vgg(nn.Module):
    """Plain convolutions; the classifier reads the map flattened over space."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(conv(3, 8), nn.MaxPool2d(2), conv(8, 12), conv(12, 12), nn.MaxPool2d(2))
        self.classifier = nn.Sequential(nn.Linear(12 * 16, 20), nn.ReLU(), nn.Dropout(), nn.Linear(20, 5))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.classifier(torch.flatten(self.features(x), 1))
        return y


class Inception(nn.Module):
    """Inception v3's parallel branches, factorized kernels and a branch that splits again."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 12, stride=2)
        self.one, self.two = conv(12, 6, 1), nn.Sequential(conv(12, 4, 1), conv(4, 8))
        self.wide = nn.Sequential(
            nn.Conv2d(12, 6, (1, 5), padding=(0, 2)), nn.Conv2d(6, 6, (5, 1), padding=(2, 0))
        )
        self.pooled, self.split = conv(12, 5, 1), conv(12, 8, 1)
        self.left, self.right = (
            nn.Conv2d(8, 6, (1, 3), padding=(0, 1)),
            nn.Conv2d(8, 6, (3, 1), padding=(1, 0)),
        )
        self.norm, self.head = nn.BatchNorm2d(37), nn.Linear(37, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        split = self.split(x)
        parts = [self.one(x), self.two(x), self.wide(x), self.pooled(F.avg_pool2d(x, 3, 1, 1))]
        x = self.norm(torch.cat([*parts, torch.cat([self.left(split), self.right(split)], 1)], 1))
        y: Tensor = self.head(F.relu(x).mean((2, 3)))
        return y


class InceptionResidual(nn.Module):
    """Inception-ResNet: what the branches give together is projected, scaled and added; v4's reduction after it."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 16, stride=2)
        self.branches = nn.ModuleList([conv(16, 4, 1), nn.Sequential(conv(16, 6, 1), conv(6, 8))])
        self.join = nn.Conv2d(12, 16, 1)
        self.down, self.norm, self.head = conv(16, 10, stride=2), nn.BatchNorm2d(26), nn.Linear(26, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = F.relu(x + 0.2 * self.join(torch.cat([branch(x) for branch in self.branches], 1)))
        x = self.norm(torch.cat([self.down(x), F.max_pool2d(x, 3, 2, 1)], 1))
        y: Tensor = self.head(x.mean((2, 3)))
        return y


class DenseLayer(nn.Module):
    """Norm first, then a bottleneck, then a few new channels."""

    def __init__(self, inputs: int, growth: int) -> None:
        super().__init__()
        self.norm1, self.conv1 = nn.BatchNorm2d(inputs), nn.Conv2d(inputs, 12, 1, bias=False)
        self.norm2, self.conv2 = nn.BatchNorm2d(12), nn.Conv2d(12, growth, 3, padding=1, bias=False)

    def forward(self, features: list[Tensor]) -> Tensor:
        x = self.conv1(F.relu(self.norm1(torch.cat(features, 1))))
        y: Tensor = self.conv2(F.relu(self.norm2(x)))
        return y


class DenseNet(nn.Module):
    """Each layer reads all that came before it; a transition halves the map."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = conv(3, 8)
        self.first = nn.ModuleList(DenseLayer(8 + 6 * index, 6) for index in range(3))
        self.transition = nn.Sequential(nn.BatchNorm2d(26), nn.ReLU(), nn.Conv2d(26, 13, 1), nn.AvgPool2d(2))
        self.second = nn.ModuleList(DenseLayer(13 + 6 * index, 6) for index in range(2))
        self.norm, self.head = nn.BatchNorm2d(25), nn.Linear(25, 5)

    def forward(self, x: Tensor) -> Tensor:
        features = [self.stem(x)]
        for layer in self.first:
            features.append(layer(features))
        features = [self.transition(torch.cat(features, 1))]
        for layer in self.second:
            features.append(layer(features))
        y: Tensor = self.head(F.relu(self.norm(torch.cat(features, 1))).mean((2, 3)))
        return y


class Inverted(nn.Module):
    """EfficientNet's block: expansion, depthwise, squeeze-and-excitation, projection, skip."""

    def __init__(self, channels: int, outputs: int, kernel: int) -> None:
        super().__init__()
        wide = 3 * channels
        self.expand = nn.Sequential(nn.Conv2d(channels, wide, 1, bias=False), nn.BatchNorm2d(wide), nn.SiLU())
        self.depthwise = nn.Conv2d(wide, wide, kernel, padding=kernel // 2, groups=wide, bias=False)
        self.norm, self.gate, self.project = (
            nn.BatchNorm2d(wide),
            SqueezeLinear(wide, 4),
            project(wide, outputs),
        )
        self.skip = channels == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(self.gate(F.silu(self.norm(self.depthwise(self.expand(x))))))
        return x + y if self.skip else y


class EfficientNet(nn.Module):
    """Inverted residuals with squeeze-and-excitation."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = nn.Sequential(
            conv(3, 8, stride=2), Inverted(8, 12, 3), Inverted(12, 12, 5), Inverted(12, 12, 3)
        )
        self.gate, self.head = Squeeze(12, 4, nn.Hardsigmoid), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.gate(self.blocks(x)).mean((2, 3)))
        return y


class FishNet(nn.Module):
    """Tail, body and head; going up, channels are reduced by sums of neighbours, and joined to earlier maps."""

    def __init__(self) -> None:
        super().__init__()
        self.tail, self.body, self.up = conv(3, 8), conv(8, 16, stride=2), Bottleneck(24, 8, 24)
        self.head, self.classifier = Bottleneck(40, 8, 40), nn.Linear(40, 5)

    def forward(self, x: Tensor) -> Tensor:
        tail = self.tail(x)
        body = self.body(tail)
        x = self.up(torch.cat([F.interpolate(body, scale_factor=2.0), tail], 1))
        n, c, h, w = x.shape
        reduced = x.view(n, c // 2, 2, h, w).sum(2)
        x = torch.cat([reduced, x, F.interpolate(tail, size=(h, w))[:, :4]], 1)
        y: Tensor = self.classifier(self.head(x).mean((2, 3)))
        return y


class Attentive(nn.Module):
    """CBAM: a gate over channels, then one over space from the mean and the largest of all channels."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.gate, self.space = conv(3, 12), SqueezeLinear(12, 6), nn.Conv2d(2, 1, 3, padding=1)
        self.body, self.head = conv(12, 10), nn.Linear(10, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.gate(self.stem(x))
        seen = torch.cat([x.mean(1, keepdim=True), x.max(1, keepdim=True)[0]], 1)
        y: Tensor = self.head(self.body(x * torch.sigmoid(self.space(seen))).mean((2, 3)))
        return y
