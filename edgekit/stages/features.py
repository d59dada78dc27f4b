"""Feature distillation: a pruned layer's outputs held to those of the very channels of its teacher that are left.

No adapter stands between them (as in Romero et al. 2015): pruning knows which channel became which.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from edgekit.graph.kept import indices_of
from edgekit.stages import RejectedError

Norm = nn.modules.batchnorm._BatchNorm


@dataclass(frozen=True)
class Match:
    """A layer of both networks."""

    channels: Tensor
    """(student's channels,) int64: which of the teacher's each one is."""
    scale: float
    """The mean square of the teacher's features around their channels' means: makes layers count alike."""


@dataclass(frozen=True)
class Features:
    """What a student's layers are held to."""

    matches: Mapping[str, Match]

    def loss(self, student: Mapping[str, Tensor], teacher: Mapping[str, Tensor]) -> Tensor:
        """The mean over layers of the mean squared difference, as a share of the teacher's variance."""
        parts = [
            (student[name].float() - teacher[name].float()[:, match.channels]).square().mean() / match.scale
            for name, match in self.matches.items()
        ]
        return torch.stack(parts).mean()


Survivors = Mapping[str, str]
"""As a `Model` has them."""


def match_features(
    student: nn.Module, teacher: nn.Module, survivors: tuple[Survivors, Survivors], images: Tensor
) -> Features:
    """The last layer before each change of resolution, matched by its name and the channels that survived.

    Batch norms, or in networks without any, convolutions: features before the activation (Heo et al. 2019).
    `survivors` are the student's and the teacher's, `images` (n, C, H, W) some of the data. Both networks are left in
    eval mode.
    Raises `RejectedError` where no layer of the two has channels that are known to be the same.
    """
    kind = Norm if any(isinstance(layer, Norm) for layer in teacher.modules()) else nn.Conv2d
    theirs = {name: layer for name, layer in teacher.named_modules() if isinstance(layer, kind)}
    own = {name: layer for name, layer in student.named_modules() if isinstance(layer, kind)}
    with (
        torch.no_grad(),
        outputs_of(teacher.eval(), theirs) as wide,
        outputs_of(student.eval(), own) as narrow,
    ):
        teacher(images)
        student(images)
    found: dict[object, tuple[str, Match]] = {}
    for name, values in wide.items():  # in the order in which they ran: the last of a size stays
        if name in narrow and values.dim() == 4 and values.shape[2:] == narrow[name].shape[2:]:
            channels = _channels(name, narrow[name].shape[1], values.shape[1], survivors)
            scale = float((values - values.mean((0, 2, 3), keepdim=True)).square().mean())
            if channels is not None and scale > 0:
                found[values.shape[2:]] = name, Match(channels.to(values.device), scale)
    if not found:
        raise RejectedError("features: no layer of the network is known to have channels of its teacher's")
    return Features(dict(found.values()))


def _channels(name: str, width: int, whole: int, survivors: tuple[Survivors, Survivors]) -> Tensor | None:
    """The teacher's channels that a layer has, or None where nobody knows."""
    own, theirs = (each.get(f"{name}.weight") for each in survivors)
    if own == theirs:
        return torch.arange(whole) if width == whole else None
    if own is None:
        return None
    places = {
        channel: place for place, channel in enumerate(range(whole) if theirs is None else indices_of(theirs))
    }
    found = [places[channel] for channel in indices_of(own) if channel in places]
    return torch.tensor(found) if len(found) == width else None


@contextmanager
def outputs_of(module: nn.Module, names: Iterable[str]) -> Iterator[dict[str, Tensor]]:
    """Layer → its output, in the order in which layers ran, of a network that runs inside the block.

    Of a layer that runs several times, the last. Nothing is left on the network.
    """
    seen: dict[str, Tensor] = {}

    def keep(name: str) -> RemovableHandle:
        def hook(_: nn.Module, __: object, made: object) -> None:
            if isinstance(made, Tensor):
                seen.pop(name, None)
                seen[name] = made.clone()  # an activation may change it in place

        return module.get_submodule(name).register_forward_hook(hook)

    handles = [keep(name) for name in names]
    try:
        yield seen
    finally:
        for handle in handles:
            handle.remove()
