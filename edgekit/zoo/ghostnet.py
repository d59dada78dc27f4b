"""GhostNet (Han et al. 2020, arXiv:1911.11907), with its authors' parameter names, which are timm's too."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.zoo.layers import SqueezeExcitation, conv_norm_act, initialise, make_divisible
from edgekit.zoo.names import by_layer
from edgekit.zoo.registry import About, network

STEM, HEAD = 16, 1280
Row = tuple[int, int, int, int, bool, int]
ROWS: tuple[Row, ...] = (
    # stage, kernel k, expanded channels, channels c, squeeze-and-excitation, stride s (the paper's table 1)
    (0, 3, 16, 16, False, 1),
    (1, 3, 48, 24, False, 2),
    (2, 3, 72, 24, False, 1),
    (3, 5, 72, 40, True, 2),
    (4, 5, 120, 40, True, 1),
    (5, 3, 240, 80, False, 2),
    (6, 3, 200, 80, False, 1),
    (6, 3, 184, 80, False, 1),
    (6, 3, 184, 80, False, 1),
    (6, 3, 480, 112, True, 1),
    (6, 3, 672, 112, True, 1),
    (7, 5, 672, 160, True, 2),
    (8, 5, 960, 160, False, 1),
    (8, 5, 960, 160, True, 1),
    (8, 5, 960, 160, False, 1),
    (8, 5, 960, 160, True, 1),
)


class Ghost(nn.Module):
    """Half of the channels from a pointwise convolution, half from those by a cheap depthwise 3×3.

    All widths are multiples of 4, so the halves are the whole: nothing need be cut off.
    """

    def __init__(self, inputs: int, outputs: int, *, act: type[nn.Module] | None = nn.ReLU) -> None:
        super().__init__()
        half = outputs // 2
        self.primary_conv = conv_norm_act(inputs, half, kernel=1, act=act)
        self.cheap_operation = conv_norm_act(half, half, groups=half, act=act)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H, W)."""
        x = self.primary_conv(x)
        return torch.cat((x, self.cheap_operation(x)), 1)


class GhostBottleneck(nn.Module):
    """Ghost, depthwise k×k where there is a stride, maybe a gate, linear ghost; and a shortcut."""

    def __init__(self, inputs: int, row: Row, width: float, expand: Callable[[int, int], nn.Module]) -> None:
        super().__init__()
        _, kernel, expanded, outputs, gated, stride = row
        hidden, outputs = make_divisible(expanded * width, 4), make_divisible(outputs * width, 4)
        self.ghost1 = expand(inputs, hidden)
        self.conv_dw: nn.Module = nn.Identity()
        self.bn_dw: nn.Module = nn.Identity()
        if stride == 2:
            self.conv_dw, self.bn_dw = conv_norm_act(
                hidden, hidden, kernel=kernel, stride=2, groups=hidden, act=None
            )
        self.se = SqueezeExcitation(hidden, make_divisible(hidden / 4, 4)) if gated else nn.Identity()
        self.ghost2 = Ghost(hidden, outputs, act=None)
        self.shortcut = nn.Sequential()
        if stride == 2 or inputs != outputs:
            self.shortcut = nn.Sequential(
                *conv_norm_act(inputs, inputs, kernel=kernel, stride=stride, groups=inputs, act=None),
                *conv_norm_act(inputs, outputs, kernel=1, act=None),
            )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H/stride, W/stride)."""
        y = self.se(self.bn_dw(self.conv_dw(self.ghost1(x))))
        z: Tensor = self.ghost2(y) + self.shortcut(x)
        return z


class PointwiseTail(nn.Module):
    """The last convolution before the pooling, 1×1 with batch norm and ReLU."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.conv, self.bn1 = conv_norm_act(inputs, outputs, kernel=1, act=None)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, C', H, W)."""
        return F.relu(self.bn1(self.conv(x)))


class GhostNet(nn.Module):
    """Images (N, in_channels, H, W) → logits (N, num_classes); H and W are reduced 32 times.

    `expands` names the module that widens each row's input: `Ghost` throughout in GhostNet.
    """

    def __init__(
        self,
        expands: tuple[Callable[[int, int], nn.Module], ...],
        *,
        num_classes: int,
        in_channels: int,
        width: float,
    ) -> None:
        super().__init__()
        channels = make_divisible(STEM * width, 4)
        self.conv_stem, self.bn1 = conv_norm_act(in_channels, channels, stride=2, act=None)
        stages: list[list[nn.Module]] = [[] for _ in range(ROWS[-1][0] + 1)]
        for row, expand in zip(ROWS, expands, strict=True):
            stages[row[0]].append(GhostBottleneck(channels, row, width, expand))
            channels = make_divisible(row[3] * width, 4)
        last = make_divisible(ROWS[-1][2] * width, 4)
        stages.append([PointwiseTail(channels, last)])
        self.blocks = nn.Sequential(*(nn.Sequential(*stage) for stage in stages))
        self.conv_head = nn.Conv2d(last, HEAD, 1)
        self.dropout = nn.Dropout(0.2)
        self.classifier = nn.Linear(HEAD, num_classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, num_classes)."""
        x = self.blocks(F.relu(self.bn1(self.conv_stem(x))))
        x = F.relu(self.conv_head(F.adaptive_avg_pool2d(x, 1)))
        logits: Tensor = self.classifier(self.dropout(torch.flatten(x, 1)))
        return logits


def gate_layers() -> dict[str, str]:
    """The names of the gates' layers in the authors' and timm's form → ours."""
    return {
        f"blocks.{stage}.{index}.se.{theirs}": f"blocks.{stage}.{index}.se.{ours}"
        for stage, *_ in ROWS
        for index in range(sum(row[0] == stage for row in ROWS))
        for theirs, ours in (("conv_reduce", "fc1"), ("conv_expand", "fc2"))
    }


@network(
    "ghostnet",
    About(
        family="GhostNet",
        scalable=True,
        accuracy=73.98,
        accuracy_source="ImageNet top-1 of the authors' weights",
    ),
    rename=by_layer(gate_layers()),
)
def ghostnet(*, num_classes: int, in_channels: int, width: float) -> nn.Module:
    """GhostNet; a width scales all but the head's 1280 channels."""
    expands = (Ghost,) * len(ROWS)
    return GhostNet(expands, num_classes=num_classes, in_channels=in_channels, width=width)
