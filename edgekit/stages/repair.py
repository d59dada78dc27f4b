"""What is tried where a file departs from its network: the operator at fault goes back to float."""

from __future__ import annotations

from typing import TYPE_CHECKING

from edgekit.quantizer.mixed import integer_layers, operator_before, with_floats

if TYPE_CHECKING:
    from collections.abc import Callable

    from edgekit.model import Model
    from edgekit.stages import Departure


MOST = 4
"""Operators that go back: a file with more at fault is another problem than theirs."""
_NEARER = 1.0
"""Decibels that an operator in float must gain."""


def repaired(
    int8: Model, departure: Departure, again: Callable[[Model], Departure | None], *, mixes: bool
) -> tuple[Model, tuple[str, ...]]:
    """The network with operators in float whose file is nearer, and what was tried, a line each.

    The operator that computes the first departed tensor goes back to float, then that of the next one, as long as it
    helps. `again` tells of a candidate's file; `mixes` whether the target's files may hold both.
    """
    if not mixes:
        return int8, ("nothing: target or recipe want integers throughout",)
    tried: list[str] = []
    for _ in range(MOST):
        operator = operator_before(int8, departure.tensor)
        if operator is None:
            return int8, (*tried, f"nothing: no integer operator computes {departure.tensor or 'it'}")
        layer = integer_layers(int8)[operator]
        candidate = with_floats(int8, [operator])
        left = again(candidate)
        if left is None:
            return candidate, (*tried, f"{layer} in float: near enough")
        if left.sqnr_db < departure.sqnr_db + _NEARER:
            told = f"{layer} in float: {departure.sqnr_db:.1f} to {left.sqnr_db:.1f} dB, not kept"
            return int8, (*tried, told)
        tried.append(f"{layer} in float: {departure.sqnr_db:.1f} to {left.sqnr_db:.1f} dB")
        int8, departure = candidate, left
    return int8, tuple(tried)
