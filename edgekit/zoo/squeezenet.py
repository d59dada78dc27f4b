"""SqueezeNet 1.0 and 1.1 (Iandola et al. 2016, arXiv:1602.07360), with torchvision's parameter names."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.zoo.registry import About, network

POOL = "pool"
Row = tuple[int, int] | str

V1_0: tuple[Row, ...] = (
    # squeezed channels s1x1, channels of each expansion e1x1 = e3x3 (the paper's table 1)
    *(POOL, (16, 64), (16, 64), (32, 128)),
    *(POOL, (32, 128), (48, 192), (48, 192), (64, 256)),
    *(POOL, (64, 256)),
)
V1_1: tuple[Row, ...] = (
    # the same modules, pooled earlier
    *(POOL, (16, 64), (16, 64)),
    *(POOL, (32, 128), (32, 128)),
    *(POOL, (48, 192), (48, 192), (64, 256), (64, 256)),
)


class Fire(nn.Module):
    """A 1×1 convolution that squeezes, then 1×1 and 3×3 side by side."""

    def __init__(self, inputs: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inputs, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, 2 · expanded, H, W)."""
        x = torch.relu(self.squeeze(x))
        return torch.cat((torch.relu(self.expand1x1(x)), torch.relu(self.expand3x3(x))), 1)


class SqueezeNet(nn.Module):
    """Images (N, in_channels, H, W) → logits (N, num_classes), never negative: the head ends in a ReLU."""

    def __init__(self, rows: tuple[Row, ...], stem: nn.Conv2d, *, num_classes: int) -> None:
        super().__init__()
        channels = stem.out_channels
        features: list[nn.Module] = [stem, nn.ReLU()]
        for row in rows:
            if isinstance(row, str):
                features.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            else:
                features.append(Fire(channels, *row))
                channels = 2 * row[1]
        self.features = nn.Sequential(*features)
        head = nn.Conv2d(channels, num_classes, 1)
        self.classifier = nn.Sequential(nn.Dropout(0.5), head, nn.ReLU(), nn.AdaptiveAvgPool2d(1))
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d) and layer.bias is not None:
                nn.init.kaiming_uniform_(layer.weight)
                nn.init.zeros_(layer.bias)
        nn.init.normal_(head.weight, 0, 0.01)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, num_classes)."""
        return torch.flatten(self.classifier(self.features(x)), 1)


@network(
    "squeezenet1.0",
    About(
        family="SqueezeNet",
        variant="1.0",
        least_input=21,
        accuracy=58.092,
        accuracy_source="ImageNet top-1, torchvision's SqueezeNet1_0_Weights.IMAGENET1K_V1",
    ),
)
def squeezenet1_0(*, num_classes: int, in_channels: int, width: float) -> nn.Module:  # noqa: ARG001 (fixed)
    """SqueezeNet 1.0: an unpadded 7×7 stem with 96 channels."""
    return SqueezeNet(V1_0, nn.Conv2d(in_channels, 96, 7, 2), num_classes=num_classes)


@network(
    "squeezenet1.1",
    About(
        family="SqueezeNet",
        variant="1.1",
        accuracy=58.178,
        accuracy_source="ImageNet top-1, torchvision's SqueezeNet1_1_Weights.IMAGENET1K_V1",
    ),
)
def squeezenet1_1(*, num_classes: int, in_channels: int, width: float) -> nn.Module:  # noqa: ARG001 (fixed)
    """SqueezeNet 1.1: an unpadded 3×3 stem with 64 channels, and 2.4 times less to compute."""
    return SqueezeNet(V1_1, nn.Conv2d(in_channels, 64, 3, 2), num_classes=num_classes)
