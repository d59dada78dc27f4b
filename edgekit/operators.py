"""An operator as a model's file names it, and as a runtime times it: what a profile by layer is joined from."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class FileOperator:
    """One operator of a model's file, in the order of computation."""

    name: str
    """As the file has it; unique."""
    kind: str
    """The format's word for what it does."""
    inputs: tuple[str, ...]
    """Values that it reads, by name."""
    outputs: tuple[str, ...]
    layer: str = ""
    """Of a convolution or linear layer: the module whose weights it holds, in the network's own words."""


@dataclass(frozen=True)
class OperatorTime:
    """One operator as a runtime ran it."""

    name: str
    kind: str
    parts: tuple[str, ...]
    """Operators or values of the file that it says it is; several where it fused them, none where it cannot tell."""
    time_ns: float
    """For one inference, on average."""
