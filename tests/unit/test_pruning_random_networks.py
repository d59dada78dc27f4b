"""Networks that nobody wrote: random pieces in a random order are pruned exactly, or refused."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from forms import seasoned
from forms_convolutional import Squeeze, conv
from forms_shuffled import shuffled
from hypothesis import given, settings
from hypothesis import strategies as st
from keep_sets import random_removal
from torch import Tensor, nn

from edgekit.graph.channels import channel_graph
from edgekit.graph.surgery import remove_channels
from edgekit.graph.trace import trace

PIECES = (
    "conv",
    "depthwise",
    "grouped",
    "residual",
    "squeeze",
    "dense",
    "halves",
    "shuffle",
    "shift",
    "normalize",
    "upscale",
    "tokens",
    "gate",
    "mean",
)
WIDTH = 12


class Piece(nn.Module):
    """(N, 12, H, W) → (N, 12, H, W), in one of many ways."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.one, self.two = conv(WIDTH, WIDTH), conv(WIDTH, WIDTH, groups={"grouped": 3}.get(kind, 1))
        if kind == "depthwise":
            self.two = nn.Sequential(
                nn.Conv2d(WIDTH, 2 * WIDTH, 3, padding=1, groups=WIDTH), conv(2 * WIDTH, WIDTH, 1)
            )
        self.part, self.join = conv(WIDTH // 2, WIDTH // 2, 1), conv(2 * WIDTH, WIDTH, 1)
        self.squeeze, self.norm, self.groups = Squeeze(WIDTH, 4), nn.LayerNorm(WIDTH), nn.GroupNorm(3, WIDTH)
        self.wide, self.grow = nn.Linear(WIDTH, WIDTH), nn.Conv2d(WIDTH, 4 * WIDTH, 1)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = getattr(self, f"_{self.kind}")(x)
        return y

    def _conv(self, x: Tensor) -> Tensor:
        return F.hardswish(self.one(x))

    def _depthwise(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(x)
        return y

    def _grouped(self, x: Tensor) -> Tensor:
        y: Tensor = self.two(x)
        return y

    def _residual(self, x: Tensor) -> Tensor:
        return F.relu(x + self.two(self.one(x)))

    def _squeeze(self, x: Tensor) -> Tensor:
        y: Tensor = self.squeeze(x)
        return y

    def _dense(self, x: Tensor) -> Tensor:
        y: Tensor = self.join(torch.cat([x, self.one(x)], 1))
        return y

    def _halves(self, x: Tensor) -> Tensor:
        left, right = x.chunk(2, 1)
        return torch.cat([left, self.part(right)], 1)

    def _shuffle(self, x: Tensor) -> Tensor:
        return shuffled(x, 2)

    def _shift(self, x: Tensor) -> Tensor:
        return torch.cat([torch.roll(part, by, 2) for by, part in enumerate(x.chunk(5, 1))], 1)

    def _normalize(self, x: Tensor) -> Tensor:
        y: Tensor = self.groups(self.norm(x.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))
        return y

    def _upscale(self, x: Tensor) -> Tensor:
        return F.max_pool2d(F.pixel_shuffle(self.grow(x), 2), 2)

    def _tokens(self, x: Tensor) -> Tensor:
        n, c, h, w = x.shape
        tokens = x.flatten(2).transpose(1, 2)
        tokens = tokens + F.gelu(self.wide(tokens))
        return tokens.transpose(1, 2).reshape(n, c, h, w)

    def _gate(self, x: Tensor) -> Tensor:
        return F.glu(torch.cat([self.one(x), x], 1), 1)

    def _mean(self, x: Tensor) -> Tensor:
        return x - x.mean(1, keepdim=True) + x.amax(1, keepdim=True)


class Chain(nn.Module):
    """Stem, pieces, head."""

    def __init__(self, kinds: list[str]) -> None:
        super().__init__()
        self.stem, self.head = conv(3, WIDTH), nn.Linear(WIDTH, 5)
        self.pieces = nn.Sequential(*(Piece(kind) for kind in kinds))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.head(self.pieces(self.stem(x)).mean((2, 3)))
        return y


@settings(max_examples=25, deadline=None, derandomize=True, database=None)
@given(kinds=st.lists(st.sampled_from(PIECES), min_size=1, max_size=6), seed=st.integers(0, 99))
def test_masked_equals_pruned(kinds: list[str], seed: int) -> None:
    torch.manual_seed(0)
    module = seasoned(Chain(kinds))
    channels = channel_graph(trace(module, (1, 3, 8, 8)))
    pruned = remove_channels(module, channels, random_removal(channels, seed))
    assert pruned.difference <= 1e-11
    assert not pruned.rewritten
