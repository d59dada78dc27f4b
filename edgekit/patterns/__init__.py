"""Sparsity patterns: which weights of a layer may be other than zero, and whether a file's weights keep to it.

A pattern is known by its text (`2:4`, `unstructured@75%`, `block-4x1@50%`, `kernel-4`): recipes say it, checkpoints
keep it, and the checker reads it. numpy alone: the weights of a file are held to it as those of a network are.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from edgekit.patterns.block import Block
from edgekit.patterns.kernel import Kernel
from edgekit.patterns.n_m import NofM
from edgekit.patterns.unstructured import Unstructured

__all__ = ["FORMS", "Pattern", "density", "known", "pattern_of"]

if TYPE_CHECKING:
    import numpy as np

    Array = np.ndarray[Any, Any]

_KINDS = (NofM, Unstructured, Block, Kernel)
FORMS = ", ".join(kind.FORM for kind in _KINDS)
"""How patterns are written, for people."""


class Pattern(Protocol):
    """What is zero in weights (out, in / groups, …): of convolutions (…, height, width), of linear layers (out, in)."""

    @property
    def text(self) -> str:
        """How it is written; `pattern_of` reads it."""
        ...

    @property
    def sparsity(self) -> float:
        """The share of zeros, at least, in (0, 1)."""
        ...

    def obstacle(self, shape: tuple[int, ...], groups: int) -> str:
        """Why weights of this shape cannot carry it, or an empty text."""
        ...

    def mask(self, scores: Array) -> Array:
        """True for the weights that stay: those that score most, as the pattern allows. `scores` are at least 0."""
        ...

    def holds(self, weight: Array) -> bool:
        """Whether weights keep to it."""
        ...


def pattern_of(text: str) -> Pattern:
    """The pattern of that text; raises `ValueError` where there is none, or it leaves all or nothing."""
    for kind in _KINDS:
        if (found := kind.read(text)) is not None:
            if not 0 < found.sparsity < 1:
                raise ValueError(f"{text} leaves {'nothing' if found.sparsity >= 1 else 'everything'}")
            return found
    raise ValueError(f"no pattern is called {text!r}: there are {FORMS}")


def known(name: str) -> str:
    """A pattern's name, which may lack the share of zeros that is to be chosen; raises `ValueError` as `pattern_of`."""
    some = "" if ":" in name else "@99%"
    try:
        pattern_of(f"{name}{some}")
    except ValueError as error:
        raise ValueError(str(error).replace(f"{name}{some}", name)) from error
    return name


def density(weight: Array) -> float:
    """The share of non-zeros."""
    return float((weight != 0).mean())
