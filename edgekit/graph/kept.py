"""Which channels of the unpruned network a pruned layer still has, through one prune after another, as short text."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from edgekit.graph.labels import Axis


def survivors_after(
    before: Mapping[str, str], module: nn.Module, places: Mapping[Axis, Tensor]
) -> dict[str, str]:
    """Weight → output channels of the unpruned network, for all whose channels are not what they were there.

    `module` is the network before a prune, `before` what this said of it, and `places` what the prune took of each
    parameter's axis, (blocks, entries).
    """
    parameters = dict(module.named_parameters())
    found = dict(before)
    for (name, axis), taken in places.items():
        if axis == 0 and name in parameters and name.endswith(".weight"):
            width = len(parameters[name])
            starts = torch.arange(len(taken))[:, None] * (width // len(taken))
            given = torch.tensor(indices_of(before[name])) if name in before else torch.arange(width)
            now = given[(starts + taken).flatten()].tolist()
            if name in before or now != list(range(width)):
                found[name] = text_of(now)
    return found


def text_of(indices: Sequence[int]) -> str:
    """[0, 1, 2, 7] → `0-2 7`: runs of successive numbers."""
    runs: list[list[int]] = []
    for index in indices:
        if runs and index == runs[-1][1] + 1:
            runs[-1][1] = index
        else:
            runs.append([index, index])
    return " ".join(f"{first}-{last}" if last > first else f"{first}" for first, last in runs)


def indices_of(text: str) -> list[int]:
    """`0-2 7` → [0, 1, 2, 7]."""
    ends = [(first, last or first) for first, _, last in (run.partition("-") for run in text.split())]
    return [index for first, last in ends for index in range(int(first), int(last) + 1)]
