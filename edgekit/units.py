"""Numbers as people read them; the unit is always in the text."""

from __future__ import annotations


def human_count(value: float) -> str:
    """`300774272` → `300.8 M` (powers of 1000; parameters, multiply-accumulates)."""
    for limit, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return f"{value / limit:.1f}{suffix}"
    return f"{value:.0f}"


def human_bytes(value: float) -> str:
    """`4194304` → `4.19 MB` (powers of 1000, as file managers and data sheets count)."""
    for limit, suffix in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if abs(value) >= limit:
            return f"{value / limit:.2f} {suffix}"
    return f"{value:.0f} B"


def human_seconds(value: float) -> str:
    """`95` → `1 min 35 s`."""
    minutes, seconds = divmod(round(value), 60)
    return f"{minutes} min {seconds:02d} s" if minutes else f"{seconds} s"
