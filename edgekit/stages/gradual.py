"""Zeros that come while a network trains (Zhu and Gupta 2017, "To prune, or not to prune")."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from edgekit.patterns import pattern_of
from edgekit.recipe import SparsifyOptions
from edgekit.stages.sparsity import mask_of

POWER = 3
"""Of the polynomial: most zeros come early, while the rate is high."""


class Gradual:
    """What is done to the weights of some layers after every training step.

    At each choice the pattern is laid over the weights as they are. Of those that it would not keep, the least go, as
    many as the schedule wants by then; at its end all. Between choices zeros stay zero.
    """

    def __init__(self, module: nn.Module, sparsity: Mapping[str, str], options: SparsifyOptions) -> None:
        """`sparsity`: layer → pattern. Scores of `taylor` are gathered from the steps between two choices."""
        self.options = options
        self.layers = [
            (module.get_parameter(f"{layer}.weight"), pattern_of(text)) for layer, text in sparsity.items()
        ]
        self.masks: list[Tensor] = []
        self.gathered: list[Tensor] = []

    def __call__(self, step: int, steps: int) -> None:
        """After step `step` of `steps`, from 1; gradients are those of this step."""
        first, last = (
            round(epoch / self.options.epochs * steps) for epoch in (self.options.begin, self.options.settled)
        )
        self._hold()  # what momentum has made of zeros must not compete with weights
        if self.options.selection == "taylor":
            self._gather()
        if first < step <= last and ((step - first - 1) % self.options.every == 0 or step == last):
            done = (step - first) / (last - first)
            self._choose(1.0 if self.options.schedule == "constant" else 1 - (1 - done) ** POWER)
            self._hold()

    def _hold(self) -> None:
        for (weight, _), mask in zip(self.layers, self.masks, strict=False):  # none before the first choice
            weight.masked_fill_(~mask, 0)  # momentum of what a dead channel gets can be infinite

    def _gather(self) -> None:
        changes = [
            torch.zeros_like(weight) if weight.grad is None else (weight.grad * weight).square()
            for weight, _ in self.layers
        ]
        before = self.gathered or [torch.zeros_like(change) for change in changes]
        self.gathered = [total + change for total, change in zip(before, changes, strict=True)]

    def _choose(self, share: float) -> None:
        scores = self.gathered or [weight.detach().abs() for weight, _ in self.layers]
        self.masks = [
            _partly(mask_of(pattern, score), score, share)
            for (_, pattern), score in zip(self.layers, scores, strict=True)
        ]
        self.gathered = []


def _partly(mask: Tensor, scores: Tensor, share: float) -> Tensor:
    """True for what a mask keeps, and for all but that share of the rest, the least first."""
    rest = torch.where(mask, torch.inf, scores).flatten()
    going = rest.argsort(stable=True)[: round(share * int((~mask).sum()))]
    return torch.ones_like(mask).flatten().index_fill_(0, going, value=False).reshape(mask.shape)
