"""Numbers as people read them; the unit is always in the text."""

from __future__ import annotations


def human_count(value: float) -> str:
    """`300774272` → `300.8 M` (powers of 1000; parameters, multiply-accumulates)."""
    for limit, suffix in ((1e9, " G"), (1e6, " M"), (1e3, " k")):
        if abs(value) >= limit:
            return f"{value / limit:.1f}{suffix}"
    return f"{value:.0f}"


def count_of(text: str) -> float:
    """The other way round: `300M`, `0.3 G`, `3e8`, `300000000`; raises `ValueError` for what is no count."""
    number, factor = text.strip(), 1.0
    for suffix, power in (("k", 1e3), ("m", 1e6), ("g", 1e9)):
        if number.lower().endswith(suffix):
            number, factor = number[:-1], power
    value = float(number) * factor
    if not 0 <= value < float("inf"):  # false for NaN too
        raise ValueError(f"{text!r} is no count")
    return value


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
