"""MobileNetV1 (Howard et al. 2017, arXiv:1704.04861), with timm's parameter names."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.zoo.layers import initialise, make_divisible
from edgekit.zoo.names import by_layer
from edgekit.zoo.registry import About, network

ROWS = (
    # channels c, repeats n, first stride s (the paper's table 1)
    (64, 1, 1),
    (128, 2, 2),
    (256, 2, 2),
    (512, 6, 2),
    (1024, 2, 2),
)


class Separable(nn.Module):
    """Depthwise 3×3, then pointwise, each with batch norm and activation."""

    def __init__(self, inputs: int, outputs: int, *, stride: int, act: type[nn.Module]) -> None:
        super().__init__()
        self.conv_dw = nn.Conv2d(inputs, inputs, 3, stride, 1, groups=inputs, bias=False)
        self.bn1 = nn.BatchNorm2d(inputs)
        self.conv_pw = nn.Conv2d(inputs, outputs, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(outputs)
        self.act = act()

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H/stride, W/stride)."""
        x = self.act(self.bn1(self.conv_dw(x)))
        y: Tensor = self.act(self.bn2(self.conv_pw(x)))
        return y


class MobileNetV1(nn.Module):
    """Images (N, in_channels, H, W) → logits (N, num_classes); H and W are reduced 32 times."""

    def __init__(
        self, *, num_classes: int, in_channels: int, width: float, act: type[nn.Module] = nn.ReLU6
    ) -> None:
        super().__init__()
        channels = make_divisible(32 * width)
        self.conv_stem = nn.Conv2d(in_channels, channels, 3, 2, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.act = act()
        stages: list[nn.Module] = []
        for c, n, s in ROWS:
            outputs, blocks = make_divisible(c * width), []
            for index in range(n):
                blocks.append(Separable(channels, outputs, stride=s if index == 0 else 1, act=act))
                channels = outputs
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages)
        self.classifier = nn.Linear(channels, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, num_classes)."""
        x = self.blocks(self.act(self.bn1(self.conv_stem(x))))
        logits: Tensor = self.classifier(torch.flatten(F.adaptive_avg_pool2d(x, 1), 1))
        return logits


def sequential_layers() -> dict[str, str]:
    """A layer's name in the older public form (`model.1.3`) → ours (`blocks.0.0.conv_pw`)."""
    names = {"model.0.0": "conv_stem", "model.0.1": "bn1", "fc": "classifier"}
    blocks = [f"blocks.{stage}.{index}" for stage, (_, n, _) in enumerate(ROWS) for index in range(n)]
    for number, block in enumerate(blocks, start=1):
        for place, layer in {0: "conv_dw", 1: "bn1", 3: "conv_pw", 4: "bn2"}.items():
            names[f"model.{number}.{place}"] = f"{block}.{layer}"
    return names


@network(
    "mobilenetv1",
    About(
        family="MobileNetV1",
        variant="ReLU6",
        scalable=True,
        accuracy=75.388,
        accuracy_source="ImageNet top-1 of timm's weights; the paper's own: 70.6",
    ),
)
def mobilenetv1(*, num_classes: int, in_channels: int, width: float) -> nn.Module:
    """MobileNetV1 with ReLU6; a width scales every layer."""
    return MobileNetV1(num_classes=num_classes, in_channels=in_channels, width=width)


@network(
    "mobilenetv1-relu",
    About(family="MobileNetV1", variant="ReLU", scalable=True),
    rename=by_layer(sequential_layers()),
)
def mobilenetv1_relu(*, num_classes: int, in_channels: int, width: float) -> nn.Module:
    """MobileNetV1 with ReLU: what weights in the older public form (`model.1.0`, `fc`) were trained with."""
    return MobileNetV1(num_classes=num_classes, in_channels=in_channels, width=width, act=nn.ReLU)
