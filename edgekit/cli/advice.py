"""How rooflines and advice are printed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

    from edgekit.graph.advice import Advice
    from edgekit.graph.roofline import Roofline

FEW = 3
"""Findings of a rule that are printed where not all layers are asked for."""


def floor_facts(rooflines: Sequence[Roofline]) -> dict[str, str]:
    """The roofline's time by precision, and what bounds it: an estimate from peak rates, without fusion or caches."""
    return {
        f"roofline in {found.precision}": f"{found.floor_ms:.3f} ms on {found.target}, {_bound(found)} "
        "(estimate from peak rates, unfused)"
        for found in rooflines
    }


def _bound(found: Roofline) -> str:
    if found.bound != "unknown":
        return f"bound by {found.bound}"
    return "by its rate alone" if found.memory_ms is None else "by its memory alone"


def print_advice(console: Console, advice: Sequence[Advice], *, every: bool) -> None:
    """The rules that are broken, each with where, and with what that takes where it was measured."""
    for found in advice:
        console.print()
        console.print(f"{found.rule}  {found.says} ({found.source})", soft_wrap=True)
        console.print(f"    {len(found.layers)} layers{_cost(found)}", soft_wrap=True)
        shown = found.findings if every else found.findings[:FEW]
        for finding in shown:
            where = finding.layers[0] if len(finding.layers) == 1 else f"{finding.layers[0]} …"
            console.print(f"    {where}: {finding.what}", soft_wrap=True, markup=False)
        if len(shown) < len(found.findings):
            console.print(f"    and {len(found.findings) - len(shown)} more: --layers shows all")


def _cost(found: Advice) -> str:
    if found.measured_ns is None:
        return ""
    return f", {found.measured_ns / 1e6:.3f} ms measured for {found.timed_layers} of them"
