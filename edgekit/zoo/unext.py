"""UNeXt (Valanarasu and Patel 2022, arXiv:2203.04967), with the parameter names of the authors' checkpoints."""

from __future__ import annotations

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.zoo.registry import About, network

SHIFTS = 5
"""Groups of channels, moved by -2, -1, 0, 1 and 2 tokens."""
REACH = SHIFTS // 2
MULTIPLE = 32
"""Five halvings and five doublings: other heights and widths would not meet their skips."""


class DropPath(nn.Module):
    """Whole residual branches left out at random in training (Huang et al. 2016, "Stochastic Depth")."""

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, x: Tensor) -> Tensor:
        """(N, …) → (N, …): the branches that stay are scaled to keep the mean."""
        if not self.training or self.rate == 0:
            return x
        kept = x.new_empty(x.shape[0], *(1,) * (x.dim() - 1)).bernoulli_(1 - self.rate)
        return x * kept / (1 - self.rate)


def shift(tokens: Tensor, height: int, width: int, axis: int) -> Tensor:
    """Move groups of channels along `axis` (2: height, 3: width), zeros coming in; (N, H·W, C) → (N, H·W, C)."""
    picture = as_picture(tokens, height, width)
    padded = F.pad(picture, (REACH,) * 4)
    groups = torch.chunk(padded, SHIFTS, dim=1)  # 16 channels give four groups only
    moved = [torch.roll(group, place - REACH, axis) for place, group in enumerate(groups)]
    cropped = torch.cat(moved, dim=1).narrow(2, REACH, height).narrow(3, REACH, width)
    return as_tokens(cropped)


def as_tokens(picture: Tensor) -> Tensor:
    """(N, C, H, W) → (N, H·W, C)."""
    return picture.flatten(2).transpose(1, 2)


def as_picture(tokens: Tensor, height: int, width: int) -> Tensor:
    """(N, H·W, C) → (N, C, H, W)."""
    return tokens.transpose(1, 2).reshape(tokens.shape[0], -1, height, width)


class DepthwiseConv(nn.Module):
    """A depthwise 3×3 convolution on tokens."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.dwconv = nn.Conv2d(channels, channels, 3, padding=1, groups=channels)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """(N, H·W, C) → (N, H·W, C)."""
        return as_tokens(self.dwconv(as_picture(x, height, width)))


class ShiftedMlp(nn.Module):
    """Shift along the height, linear, depthwise 3×3, GELU, shift along the width, linear (the code's order)."""

    def __init__(self, channels: int, *, dropout: float) -> None:
        super().__init__()
        self.fc1 = nn.Linear(channels, channels)
        self.dwconv = DepthwiseConv(channels)
        self.fc2 = nn.Linear(channels, channels)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """(N, H·W, C) → (N, H·W, C)."""
        x = self.dwconv(self.fc1(shift(x, height, width, axis=2)), height, width)
        x = self.drop(F.gelu(x))
        result: Tensor = self.drop(self.fc2(shift(x, height, width, axis=3)))
        return result


class TokenBlock(nn.Module):
    """Layer norm and shifted MLP beside a skip."""

    def __init__(self, channels: int, *, dropout: float = 0.0, drop_path: float = 0.0) -> None:
        super().__init__()
        self.norm2 = nn.LayerNorm(channels)
        self.mlp = ShiftedMlp(channels, dropout=dropout)
        self.drop_path = DropPath(drop_path)

    def forward(self, x: Tensor, height: int, width: int) -> Tensor:
        """(N, H·W, C) → (N, H·W, C)."""
        branch: Tensor = self.drop_path(self.mlp(self.norm2(x), height, width))
        return x + branch


class PatchEmbed(nn.Module):
    """A convolution of stride 2 whose pixels become normalised tokens."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.proj = nn.Conv2d(inputs, outputs, 3, stride=2, padding=1)
        self.norm = nn.LayerNorm(outputs)

    def forward(self, x: Tensor) -> tuple[Tensor, int, int]:
        """(N, C, H, W) → (N, H/2·W/2, C'), H/2, W/2."""
        x = self.proj(x)
        return self.norm(as_tokens(x)), x.shape[2], x.shape[3]


class UNeXt(nn.Module):
    """Pictures (N, in_channels, H, W) → logits (N, num_classes, H, W); H and W are multiples of 32."""

    def __init__(self, widths: tuple[int, int, int, int, int], *, num_classes: int, in_channels: int) -> None:
        super().__init__()
        first, second, third, fourth, fifth = widths
        self.encoder1, self.ebn1 = _conv(in_channels, first), nn.BatchNorm2d(first)
        self.encoder2, self.ebn2 = _conv(first, second), nn.BatchNorm2d(second)
        self.encoder3, self.ebn3 = _conv(second, third), nn.BatchNorm2d(third)
        self.patch_embed3, self.patch_embed4 = PatchEmbed(third, fourth), PatchEmbed(fourth, fifth)
        self.block1, self.norm3 = nn.ModuleList([TokenBlock(fourth)]), nn.LayerNorm(fourth)
        self.block2, self.norm4 = nn.ModuleList([TokenBlock(fifth)]), nn.LayerNorm(fifth)
        self.decoder1, self.dbn1 = _conv(fifth, fourth), nn.BatchNorm2d(fourth)
        self.dblock1, self.dnorm3 = nn.ModuleList([TokenBlock(fourth)]), nn.LayerNorm(fourth)
        self.decoder2, self.dbn2 = _conv(fourth, third), nn.BatchNorm2d(third)
        self.dblock2, self.dnorm4 = nn.ModuleList([TokenBlock(third)]), nn.LayerNorm(third)
        self.decoder3, self.dbn3 = _conv(third, second), nn.BatchNorm2d(second)
        self.decoder4, self.dbn4 = _conv(second, first), nn.BatchNorm2d(first)
        self.decoder5 = _conv(first, first)
        self.final = nn.Conv2d(first, num_classes, 1)
        for part in (
            self.patch_embed3,
            self.patch_embed4,
            self.block1,
            self.block2,
            self.dblock1,
            self.dblock2,
        ):
            part.apply(_initialise)

    def forward(self, x: Tensor) -> Tensor:
        """(N, in_channels, H, W) → (N, num_classes, H, W)."""
        skip1 = F.relu(F.max_pool2d(self.ebn1(self.encoder1(x)), 2))
        skip2 = F.relu(F.max_pool2d(self.ebn2(self.encoder2(skip1)), 2))
        skip3 = F.relu(F.max_pool2d(self.ebn3(self.encoder3(skip2)), 2))
        skip4 = _through(self.block1, self.norm3, *self.patch_embed3(skip3))
        x = _through(self.block2, self.norm4, *self.patch_embed4(skip4))
        x = F.relu(_doubled(self.dbn1(self.decoder1(x)))) + skip4
        x = _through(self.dblock1, self.dnorm3, as_tokens(x), x.shape[2], x.shape[3])
        x = F.relu(_doubled(self.dbn2(self.decoder2(x)))) + skip3
        x = _through(self.dblock2, self.dnorm4, as_tokens(x), x.shape[2], x.shape[3])
        x = F.relu(_doubled(self.dbn3(self.decoder3(x)))) + skip2
        x = F.relu(_doubled(self.dbn4(self.decoder4(x)))) + skip1
        x = F.relu(_doubled(self.decoder5(x)))
        logits: Tensor = self.final(x)
        return logits


def _conv(inputs: int, outputs: int) -> nn.Conv2d:
    return nn.Conv2d(inputs, outputs, 3, padding=1)


def _through(blocks: nn.ModuleList, norm: nn.LayerNorm, x: Tensor, height: int, width: int) -> Tensor:
    """Through the blocks and the norm behind them; (N, H·W, C) → (N, C, H, W)."""
    for block in blocks:
        x = block(x, height, width)
    return as_picture(norm(x), height, width)


def _doubled(x: Tensor) -> Tensor:
    return F.interpolate(x, scale_factor=2, mode="bilinear", align_corners=False)


def _initialise(layer: nn.Module) -> None:
    """Linear layers N(0, 0.02), cut at ±2, convolutions Kaiming fan-out counted per group, biases 0."""
    if isinstance(layer, nn.Linear):
        nn.init.trunc_normal_(layer.weight, std=0.02)
        nn.init.zeros_(layer.bias)
    elif isinstance(layer, nn.Conv2d):
        nn.init.normal_(layer.weight, std=(2 / (9 * layer.out_channels / layer.groups)) ** 0.5)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


ABOUT = About(
    family="UNeXt",
    task="segmentation",
    num_classes=1,
    input_size=256,
    least_input=MULTIPLE,
    input_multiple=MULTIPLE,
)


@network(
    "unext",
    replace(ABOUT, accuracy=66.95, accuracy_source="IoU on BUSI (± 1.22), the paper"),
)
def unext(*, num_classes: int, in_channels: int, width: float) -> nn.Module:  # noqa: ARG001 (no width multiplier)
    """The network that the paper counts (1.47 M parameters): 16 and 32 channels first, as in the authors' code."""
    return UNeXt((16, 32, 128, 160, 256), num_classes=num_classes, in_channels=in_channels)


@network("unext-s", replace(ABOUT, variant="S"))
def unext_s(*, num_classes: int, in_channels: int, width: float) -> nn.Module:  # noqa: ARG001
    """UNeXt-S; older checkpoints that call themselves UNeXt hold this one."""
    return UNeXt((8, 16, 32, 64, 128), num_classes=num_classes, in_channels=in_channels)


@network("unext-l", replace(ABOUT, variant="L"))
def unext_l(*, num_classes: int, in_channels: int, width: float) -> nn.Module:  # noqa: ARG001
    """The widths that the paper's text names, which are not those of the network that it counts."""
    return UNeXt((32, 64, 128, 160, 256), num_classes=num_classes, in_channels=in_channels)
