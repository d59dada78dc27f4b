"""Classes of channels that shrink while a network trains, each as one group (Wen et al. 2016)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from edgekit.graph.channels import Slot


class Groups:
    """The entries of a module's parameters that belong to some classes; their norms, and a way to scale them."""

    def __init__(self, module: nn.Module, slots: Sequence[Slot], classes: Tensor) -> None:
        """`classes` (groups,) int64, not empty; slots of buffers, and those that hold none of them, do not count."""
        self.count = len(classes)
        most = max(int(labels.max()) for labels in (classes, *(slot.labels for slot in slots)))
        place = torch.full((1 + most,), self.count)
        place[classes] = torch.arange(self.count)
        parameters = dict(module.named_parameters())
        self._parts = [
            (parameters[slot.parameter], slot.axis + 1, places)
            for slot in slots
            if slot.parameter in parameters and bool(((places := place[slot.labels]) < self.count).any())
        ]

    def norms(self) -> Tensor:
        """(groups,): the L2 norm of all entries of each, on the parameters' device."""
        totals = None
        for parameter, axis, places in self._parts:
            squares = torch.unflatten(parameter.detach(), 0, (len(places), -1)).square()
            others = [other for other in range(1, squares.dim()) if other != axis]
            squares = squares.sum(others) if others else squares
            totals = squares.new_zeros(self.count + 1) if totals is None else totals
            totals.index_add_(0, places.to(squares.device).flatten(), squares.flatten())
        return torch.zeros(self.count) if totals is None else totals[: self.count].sqrt()

    def scale(self, factors: Tensor) -> None:
        """Multiply all entries of each group, in place, by its factor of (groups,)."""
        factors = torch.cat((factors, factors.new_ones(1)))
        for parameter, axis, places in self._parts:
            blocks = torch.unflatten(parameter.detach(), 0, (len(places), -1))
            shape = [len(places)] + [-1 if each == axis else 1 for each in range(1, blocks.dim())]
            blocks.mul_(factors[places.to(factors.device)].reshape(shape))


class GroupLasso:
    """The proximal step of a group lasso whose weight grows linearly over a training (Wang et al. 2021).

    Over all steps it takes `strength` times `scale` from a group's norm; a norm that would fall under 0 is exactly 0.
    """

    def __init__(self, groups: Groups, scale: Tensor, strength: float) -> None:
        self.groups, self._most = groups, strength * scale

    def __call__(self, step: int, steps: int) -> None:
        """After step `step` of `steps`, from 1."""
        norms = self.groups.norms()
        taken = self._most.to(norms) * (2 * step / (steps * (steps + 1)))
        self.groups.scale((1 - taken / norms.clamp_min(torch.finfo(norms.dtype).tiny)).clamp_min(0))
