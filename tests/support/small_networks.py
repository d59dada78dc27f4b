"""Small networks with the operators of large ones, with batch norms that have seen something."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.model import Model, Preprocessing, Source

if TYPE_CHECKING:
    from collections.abc import Callable

Array = np.ndarray[Any, Any]
SIDE = 32
CLASSES = 10


def layer(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    *,
    stride: int = 1,
    groups: int = 1,
    act: type[nn.Module] | None = None,
) -> nn.Sequential:
    """Convolution, batch norm and an activation where one is named."""
    convolution = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), *([] if act is None else [act()]))


class Inverted(nn.Module):
    """MobileNetV2's block."""

    def __init__(self, inputs: int, outputs: int, *, stride: int) -> None:
        super().__init__()
        self.skip = stride == 1 and inputs == outputs
        self.conv = nn.Sequential(
            layer(inputs, 4 * inputs, act=nn.ReLU6),
            layer(4 * inputs, 4 * inputs, 3, stride=stride, groups=4 * inputs, act=nn.ReLU6),
            layer(4 * inputs, outputs),
        )

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        return x + y if self.skip else y


class Residual(nn.Module):
    """MobileNetV2 in small: three inverted residuals, two with a skip, mean pool, dropout, linear."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            layer(3, 8, 3, stride=2, act=nn.ReLU6),
            Inverted(8, 16, stride=2),
            Inverted(16, 16, stride=1),
            Inverted(16, 16, stride=1),
            layer(16, 32, act=nn.ReLU6),
        )
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(32, CLASSES))

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.classifier(self.features(x).mean((2, 3)))
        return logits


class Shuffled(nn.Module):
    """ShuffleNetV2 in small: max pool, split, concatenation, channel shuffle."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.pool = layer(3, 16, 3, stride=2, act=nn.ReLU), nn.MaxPool2d(3, 2, 1)
        self.branches = nn.ModuleList(
            nn.Sequential(layer(8, 8, act=nn.ReLU), layer(8, 8, 3, groups=8), layer(8, 8, act=nn.ReLU))
            for _ in range(2)
        )
        self.last, self.classifier = layer(16, 32, act=nn.ReLU), nn.Linear(32, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.pool(self.stem(x))
        for branch in self.branches:
            kept, changed = x.chunk(2, dim=1)
            x = torch.cat([kept, branch(changed)], dim=1)
            n, c, h, w = x.shape
            x = x.view(n, 2, c // 2, h, w).transpose(1, 2).reshape(n, c, h, w)
        logits: Tensor = self.classifier(self.last(x).mean((2, 3)))
        return logits


class Picked(nn.Module):
    """Every second channel, taken by an index."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.branch, self.classifier = layer(3, 16, 3), layer(8, 8, 3), nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        n, c, h, w = x.shape
        pairs = x.reshape(n, c // 2, 2, h, w)
        logits: Tensor = self.classifier((self.branch(pairs[:, :, 0]) + pairs[:, :, 1]).mean((2, 3)))
        return logits


class Gated(nn.Module):
    """MobileNetV3's operators: hard swish, squeeze-and-excitation; and a transposed convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = layer(3, 16, 3, stride=2, act=nn.Hardswish)
        self.squeeze, self.excite = nn.Conv2d(16, 8, 1), nn.Conv2d(8, 16, 1)
        self.project, self.up, self.norm = layer(16, 24), nn.ConvTranspose2d(24, 24, 2, 2), nn.BatchNorm2d(24)
        self.hidden, self.classifier = nn.Linear(24, 16), nn.Linear(16, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        x = x * F.hardsigmoid(self.excite(F.relu(self.squeeze(F.adaptive_avg_pool2d(x, 1)))))
        x = F.relu_(self.norm(self.up(self.project(x))))
        logits: Tensor = self.classifier(F.hardswish(self.hidden(F.adaptive_avg_pool2d(x, 1).flatten(1))))
        return logits


class Twice(nn.Module):
    """One layer in two places."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.shared = nn.Conv2d(3, 8, 1), nn.Conv2d(8, 8, 3, padding=1)
        self.classifier = nn.Linear(8, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.shared(F.relu(self.shared(self.stem(x)))))
        logits: Tensor = self.classifier(x.mean((2, 3)))
        return logits


def model_of(network: Callable[[], nn.Module], side: int = SIDE) -> Model:
    """A network with random weights, always the same ones, as a `Model` in eval mode."""
    torch.manual_seed(0)
    module = network().eval()
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            _see_something(part)
    return Model(
        name=getattr(network, "__name__", type(module).__name__).lower(),
        module=module,
        input_shape=(1, 3, side, side),
        task="classification",
        preprocessing=Preprocessing(height=side, width=side, mean=(0.5,) * 3, std=(0.25,) * 3),
        labels=tuple(map(str, range(CLASSES))),
        source=Source(name="test", num_classes=CLASSES),
    )


def _see_something(norm: nn.BatchNorm2d) -> None:
    """Statistics and parameters as after training: folding them changes every weight."""
    assert norm.running_mean is not None
    assert norm.running_var is not None
    norm.running_mean.normal_(0, 0.2)
    norm.running_var.uniform_(0.5, 2)
    nn.init.uniform_(norm.weight, 0.5, 1.5)
    nn.init.normal_(norm.bias, 0, 0.2)


def pictures(count: int, side: int = SIDE, seed: int = 0) -> Array:
    """Smooth random pictures (count, 3, side, side) float32."""
    coarse = np.random.default_rng(seed).normal(size=(count, 3, side // 4, side // 4)).astype(np.float32)
    return np.ascontiguousarray(coarse.repeat(4, axis=2).repeat(4, axis=3))
