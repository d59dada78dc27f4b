"""Batch norm over the pictures of several processes: what one process with the whole batch would compute.

Torch's own `SyncBatchNorm` runs on GPUs alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
import torch.distributed
import torch.nn.functional as F
from torch import Tensor
from torch.overrides import TorchFunctionMode


class SharedBatchNorm(TorchFunctionMode):
    """Within it, every batch norm in training mode takes its statistics from the pictures of all processes."""

    def __torch_function__(
        self,
        func: Callable[..., Any],
        types: Iterable[type],
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        """Torch's own way to stand before a function."""
        if func is F.batch_norm and _trains(*args, **(kwargs or {})):
            return batch_norm(*args, **(kwargs or {}))
        return func(*args, **(kwargs or {}))


def _trains(*args: Any, training: bool | None = None, **_: Any) -> bool:
    return bool(args[5] if len(args) > 5 else training)


def batch_norm(  # noqa: PLR0917 (as torch calls it)
    images: Tensor,
    running_mean: Tensor | None,
    running_var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = True,  # noqa: ARG001
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Tensor:
    """`F.batch_norm` in training, of (n, C, …) in this process and what the others have (Ioffe and Szegedy 2015).

    Two sums, since a variance from squares loses its digits.
    """
    wide = images.float()
    over = [axis for axis in range(wide.dim()) if axis != 1]
    shape = [1, -1] + [1] * (wide.dim() - 2)
    own = wide.new_full((1,), wide.numel() / wide.shape[1])
    sums = _sum(torch.cat([wide.sum(over), own]))
    count = sums[-1].detach()
    mean = sums[:-1] / count
    centred = wide - mean.reshape(shape)
    variance = _sum(centred.square().sum(over)) / count
    if running_mean is not None and running_var is not None:
        with torch.no_grad():
            running_mean.lerp_(mean, momentum)
            running_var.lerp_(variance * count / (count - 1), momentum)
    normed = centred * torch.rsqrt(variance + eps).reshape(shape)
    if weight is not None:
        normed = normed * weight.reshape(shape)
    if bias is not None:
        normed = normed + bias.reshape(shape)
    return normed.to(images.dtype)


class _Sum(torch.autograd.Function):
    """The sum over processes, in each of them; so is its gradient."""

    @staticmethod
    def forward(ctx: Any, value: Tensor) -> Tensor:  # noqa: ARG004
        summed = value.clone(memory_format=torch.contiguous_format)
        torch.distributed.all_reduce(summed)
        return summed

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # noqa: ARG004
        summed: Tensor = _Sum.apply(gradient)  # type: ignore[no-untyped-call]
        return summed


def _sum(value: Tensor) -> Tensor:
    summed: Tensor = _Sum.apply(value)  # type: ignore[no-untyped-call]
    return summed
