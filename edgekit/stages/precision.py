"""Mixed precision: half the bits where a device multiplies faster with them, float32 weights throughout."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from edgekit.recipe import MixedPrecision


@dataclass(frozen=True)
class Precision:
    """What a training's operators compute in; weights, their updates, masks and losses stay float32."""

    device: str
    half: torch.dtype | None
    """None: float32 throughout."""

    def autocast(self) -> AbstractContextManager[object]:
        """For forward passes (Micikevicius et al. 2018)."""
        return nullcontext() if self.half is None else torch.autocast(self._type, dtype=self.half)

    def scaler(self) -> torch.amp.GradScaler:
        """What keeps gradients of float16 from vanishing; with any other precision it does nothing."""
        return torch.amp.GradScaler(self._type, enabled=self.half == torch.float16)

    @property
    def _type(self) -> str:
        return torch.device(self.device).type


def precision(asked: MixedPrecision, device: str) -> Precision:
    """`auto`: bfloat16 where a CUDA device has it, else float16 there; float32 on CPUs."""
    if asked == "off" or torch.device(device).type != "cuda":
        return Precision(device, None)
    native = torch.cuda.is_bf16_supported(including_emulation=False)
    return Precision(device, torch.bfloat16 if native else torch.float16)
