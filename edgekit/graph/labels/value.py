"""What flows through a walk instead of activations: integers that say which channel an entry belongs to.

A *label* numbers an output channel of a weighted layer, or an entry of a parameter that is used like an
activation. A *token* is a label with the path that it took through operators that cut an axis into cells, where
the place of a channel decides what happens to it. Token 0 is what carries no channel: the input, constants, padding.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import torch
from torch import Tensor

from edgekit.graph.trace import Shape

LABELS: Final = 1 << 24
"""More labels than a network has; a token is `path * LABELS + label`."""


@dataclass(frozen=True)
class Plane:
    """The tokens of a tensor along one axis whose size changes when channels leave, its *channel axis*.

    A tensor that mixes tokens and channels in turn (MLP-Mixer) has two planes; an entry is gone when it is gone
    in one of them.
    """

    tokens: Tensor
    """int64, of the tensor's rank; an axis along which nothing changes has size 1."""
    axis: int

    def varies(self, axis: int) -> bool:
        """Whether the tokens differ along an axis."""
        return self.tokens.shape[axis] > 1


@dataclass(frozen=True)
class Value:
    """The shape of a tensor in the network that is walked, and its planes."""

    shape: Shape
    planes: tuple[Plane, ...] = ()

    @property
    def rank(self) -> int:
        """The number of axes."""
        return len(self.shape)

    def at(self, axis: int) -> list[Plane]:
        """The planes whose channel axis this is."""
        return [plane for plane in self.planes if plane.axis == axis]

    def without(self, gone: Iterable[Plane]) -> Value:
        """The value with fewer planes."""
        ids = {id(plane) for plane in gone}
        return replace(self, planes=tuple(plane for plane in self.planes if id(plane) not in ids))

    def same(self, other: object) -> bool:
        """Whether two values have the same shape and tokens."""
        return (
            isinstance(other, Value)
            and self.shape == other.shape
            and len(self.planes) == len(other.planes)
            and all(
                one.axis == two.axis and torch.equal(one.tokens, two.tokens)
                for one, two in zip(self.planes, other.planes, strict=True)
            )
        )


def wide(value: Value, axis: int) -> bool:
    """Whether an axis is more than one entry to broadcast: it has channels (perhaps a last one), or a size."""
    return value.shape[axis] > 1 or bool(value.at(axis))


def broadcast(left: Tensor, right: Tensor) -> tuple[Tensor, Tensor]:
    """Both tensors in the shape that they have together, as views."""
    shape = np.broadcast_shapes(left.shape, right.shape)
    return left.expand(shape), right.expand(shape)


def label(tokens: Tensor) -> Tensor:
    """The labels of tokens, in the same shape."""
    return tokens % LABELS


def path(tokens: Tensor) -> Tensor:
    """The paths of tokens, in the same shape."""
    return tokens // LABELS


def vector(tokens: Tensor, axis: int, rank: int) -> Plane:
    """A plane from tokens (channels,) that lie along one axis and are the same along all others."""
    return Plane(tokens.reshape([-1 if place == axis else 1 for place in range(rank)]), axis)


def compact(tokens: Tensor, own: int | None) -> Tensor:
    """The tokens with size 1 along axes of stride 0, where they are one broadcast value; not along `own`."""
    for axis in range(tokens.dim()):
        if axis != own and tokens.stride(axis) == 0 and tokens.shape[axis] > 1:
            tokens = tokens.narrow(axis, 0, 1)
    return tokens


def uniform(tokens: Tensor, axis: int) -> Tensor:
    """The tokens with size 1 along `axis`, if they are the same all along it; else as they are."""
    first = tokens.narrow(axis, 0, 1)
    return first if tokens.shape[axis] > 1 and bool((tokens == first).all()) else tokens
