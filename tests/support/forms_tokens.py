"""Networks on tokens: attention, windows, mixers; inputs (N, 3, 16, 16)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Attention(nn.Module):
    """Fused queries, keys and values; heads as the network was built."""

    def __init__(self, width: int, heads: int, *, fused: bool) -> None:
        super().__init__()
        self.heads, self.scale, self.fused = heads, (width // heads) ** -0.5, fused
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        n, length, _ = x.shape
        qkv = self.qkv(x).reshape(n, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        q, k, v = qkv[0], qkv[1], qkv[2]
        if self.fused:
            seen = F.scaled_dot_product_attention(q, k, v, scale=self.scale)
        else:
            seen = ((q * self.scale) @ k.transpose(-2, -1)).softmax(-1) @ v
        y: Tensor = self.out(seen.transpose(1, 2).reshape(n, length, -1))
        return y


class Block(nn.Module):
    """Attention and a multilayer perceptron, each after a norm and around a skip, scaled per channel."""

    def __init__(self, width: int, heads: int, *, fused: bool) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, fused=fused)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))
        self.gamma = nn.Parameter(torch.linspace(0.5, 1.5, width))

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.gamma * self.attention(self.norm1(x))
        y: Tensor = x + self.mlp(self.norm2(x))
        return y


class VisionTransformer(nn.Module):
    """Patches, a class token, positions, blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 4, 4)
        self.token, self.position = nn.Parameter(torch.randn(1, 1, 12)), nn.Parameter(torch.randn(1, 17, 12))
        self.blocks = nn.Sequential(Block(12, 3, fused=True), Block(12, 2, fused=False))
        self.norm, self.head = nn.LayerNorm(12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.token.expand(x.shape[0], -1, -1), x], 1) + self.position
        y: Tensor = self.head(self.norm(self.blocks(x))[:, 0])
        return y


class HardCoded(nn.Module):
    """A transformer whose forward holds its sizes as numbers, with torch's own attention after it."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.qkv, self.out = nn.Conv2d(3, 16, 4, 4), nn.Linear(16, 48), nn.Linear(16, 16)
        self.norm, self.attention = nn.LayerNorm(16), nn.MultiheadAttention(16, 2, batch_first=True)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).view(1, 16, 16).permute(0, 2, 1)
        q, k, v = self.qkv(x).view(1, 16, 3, 4, 4).unbind(2)
        q, k, v = (each.transpose(1, 2) for each in (q, k, v))
        x = x + self.out(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(1, 16, 16))
        normed = self.norm(x)
        y: Tensor = self.head((x + self.attention(normed, normed, normed, need_weights=False)[0]).mean(1))
        return y


class WindowBlock(nn.Module):
    """Swin's block: windows of 2×2 tokens, shifted by a roll; attention with position biases, or a grouped MLP."""

    places: Tensor

    def __init__(self, width: int, heads: int, shift: int, *, spatial_mlp: bool) -> None:
        super().__init__()
        self.heads, self.shift, self.spatial_mlp = heads, shift, spatial_mlp
        self.norm, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        if spatial_mlp:
            self.spatial = nn.Conv1d(heads * 4, heads * 4, 1, groups=heads)
        else:
            self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
            self.bias = nn.Parameter(torch.randn(9, heads))
            grid = torch.stack(torch.meshgrid(torch.arange(2), torch.arange(2), indexing="ij")).flatten(1)
            offset = (grid[:, :, None] - grid[:, None, :] + 1).permute(1, 2, 0)
            self.register_buffer("places", (offset[..., 0] * 3 + offset[..., 1]).flatten())
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def mixed(self, x: Tensor) -> Tensor:
        windows, tokens, c = x.shape
        if self.spatial_mlp:
            x = x.view(windows, tokens, self.heads, c // self.heads).transpose(1, 2)
            x = self.spatial(x.reshape(windows, self.heads * tokens, c // self.heads))
            return (
                x.view(windows, self.heads, tokens, c // self.heads)
                .transpose(1, 2)
                .reshape(windows, tokens, c)
            )
        q, k, v = self.qkv(x).reshape(windows, tokens, 3, self.heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        scores = q @ k.transpose(-2, -1) * 0.5
        bias = self.bias[self.places].view(tokens, tokens, -1).permute(2, 0, 1)
        y: Tensor = self.out(((scores + bias).softmax(-1) @ v).transpose(1, 2).reshape(windows, tokens, -1))
        return y

    def forward(self, x: Tensor) -> Tensor:
        n, h, w, c = x.shape
        y = torch.roll(self.norm(x), (-self.shift, -self.shift), (1, 2))
        y = y.view(n, h // 2, 2, w // 2, 2, c).permute(0, 1, 3, 2, 4, 5).reshape(-1, 4, c)
        y = self.mixed(y).view(n, h // 2, w // 2, 2, 2, -1).permute(0, 1, 3, 2, 4, 5).reshape(n, h, w, -1)
        x = x + torch.roll(y, (self.shift, self.shift), (1, 2))
        z: Tensor = x + self.mlp(self.norm2(x))
        return z


class Swin(nn.Module):
    """Windows, shifted windows, and patches merged four into one."""

    def __init__(self, *, spatial_mlp: bool = False) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 12, 2, 2)
        self.first, self.second = (WindowBlock(12, 2, shift, spatial_mlp=spatial_mlp) for shift in (0, 1))
        self.merge_norm, self.merge = nn.LayerNorm(48), nn.Linear(48, 16, bias=False)
        self.third = WindowBlock(16, 4, 0, spatial_mlp=spatial_mlp)
        self.head = nn.Linear(16, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.second(self.first(self.patches(x).permute(0, 2, 3, 1)))
        parts = [x[:, 0::2, 0::2], x[:, 1::2, 0::2], x[:, 0::2, 1::2], x[:, 1::2, 1::2]]
        x = self.third(self.merge(self.merge_norm(torch.cat(parts, -1))))
        y: Tensor = self.head(x.mean((1, 2)))
        return y


def swin_mlp() -> nn.Module:
    return Swin(spatial_mlp=True)


class Mixer(nn.Module):
    """MLP-Mixer: layers over tokens and over channels in turn."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.head = nn.Conv2d(3, 12, 4, 4), nn.Linear(12, 5)
        self.norms = nn.ModuleList(nn.LayerNorm(12) for _ in range(4))
        self.over_tokens = nn.ModuleList(
            nn.Sequential(nn.Linear(16, 10), nn.GELU(), nn.Linear(10, 16)) for _ in range(2)
        )
        self.over_channels = nn.ModuleList(
            nn.Sequential(nn.Linear(12, 14), nn.GELU(), nn.Linear(14, 12)) for _ in range(2)
        )

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        for index in range(2):
            x = x + self.over_tokens[index](self.norms[2 * index](x).transpose(1, 2)).transpose(1, 2)
            x = x + self.over_channels[index](self.norms[2 * index + 1](x))
        y: Tensor = self.head(x.mean(1))
        return y


class Gated(nn.Module):
    """Gated units: a linear layer cut in two, one half gating the other; over space by a matrix (gMLP)."""

    def __init__(self) -> None:
        super().__init__()
        self.patches, self.enter = nn.Conv2d(3, 12, 4, 4), nn.Linear(12, 20)
        self.norm, self.space = nn.LayerNorm(10), nn.Parameter(torch.randn(16, 16) / 4)
        self.leave, self.swish = nn.Linear(10, 12), nn.Linear(12, 32)
        self.back, self.head = nn.Linear(16, 12), nn.Linear(12, 5)

    def forward(self, x: Tensor) -> Tensor:
        x = self.patches(x).flatten(2).transpose(1, 2)
        left, right = F.gelu(self.enter(x)).chunk(2, -1)
        gate = torch.einsum("nlc,lm->nmc", self.norm(right), self.space)
        x = x + self.leave(left * (1 + gate))
        left, right = self.swish(x).split(16, -1)
        y: Tensor = self.head(F.normalize(x + self.back(F.silu(left) * right), dim=-1).mean(1))
        return y
