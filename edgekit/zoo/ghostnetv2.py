"""GhostNetV2 (Tang et al. 2022, arXiv:2211.12905), with its authors' parameter names, which are timm's too."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.zoo.ghostnet import ROWS, Ghost, GhostNet, gate_layers
from edgekit.zoo.names import by_layer
from edgekit.zoo.registry import About, network

REACH = 5
WITHOUT_ATTENTION = 2
"""The first bottlenecks, whose maps are too large for it."""


class AttentiveGhost(Ghost):
    """A ghost module times DFC attention: a gate from rows and columns, taken at half the resolution."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__(inputs, outputs)
        self.short_conv = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
            nn.Conv2d(outputs, outputs, (1, REACH), padding=(0, REACH // 2), groups=outputs, bias=False),
            nn.BatchNorm2d(outputs),
            nn.Conv2d(outputs, outputs, (REACH, 1), padding=(REACH // 2, 0), groups=outputs, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H, W); H and W are at least 2."""
        gate = torch.sigmoid(self.short_conv(F.avg_pool2d(x, 2, 2)))
        return super().forward(x) * F.interpolate(gate, size=x.shape[-2:], mode="nearest")


@network(
    "ghostnetv2",
    About(
        family="GhostNetV2",
        scalable=True,
        least_input=33,
        accuracy=75.3,
        accuracy_source="ImageNet top-1, the paper",
    ),
    rename=by_layer(gate_layers()),
)
def ghostnetv2(*, num_classes: int, in_channels: int, width: float) -> nn.Module:
    """GhostNetV2; a width scales all but the head's 1280 channels."""
    attentive = len(ROWS) - WITHOUT_ATTENTION
    expands = (Ghost,) * WITHOUT_ATTENTION + (AttentiveGhost,) * attentive
    return GhostNet(expands, num_classes=num_classes, in_channels=in_channels, width=width)
