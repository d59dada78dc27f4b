"""Whether the machine stayed what it was while something was measured on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from edgekit.measurement import DeviceState

UNKNOWN = "unknown"
STEADY = ("governor", "max_clock_mhz", "throttle_events")
STEAL_LIMIT = 0.05
"""Of the busy time, what a hypervisor may take before medians move."""
PRESSURE_LIMIT = 0.25
"""Of the time, in how much some task may wait for a core."""


def disturbance(before: DeviceState, after: DeviceState) -> str:
    """Why samples between two states should not be believed, in one line; empty where nothing is against it.

    A governor, a clock's limit or a count of throttlings that changed; a hypervisor that took the processor
    away (steal time, proc(5)); tasks that waited for a core (pressure stall information), of whomever.
    """
    reasons = [
        f"{name} went from {before.facts[name]} to {after.facts[name]}"
        for name in STEADY
        if before.facts.get(name, UNKNOWN) != after.facts.get(name, UNKNOWN)
    ]
    stolen, busy = _grown(before, after, "steal_ticks"), _grown(before, after, "busy_ticks")
    if stolen > STEAL_LIMIT * (stolen + busy):
        reasons.append(f"the hypervisor took {stolen / (stolen + busy):.0%} of the busy time")
    waited, passed = _grown(before, after, "cpu_pressure_us") / 1e6, _grown(before, after, "uptime_s")
    if passed and waited > PRESSURE_LIMIT * passed:
        reasons.append(f"tasks waited for a core {waited / passed:.0%} of the time: something else runs here")
    return "; ".join(reasons)


def _grown(before: DeviceState, after: DeviceState, name: str) -> float:
    first, last = (state.facts.get(name, UNKNOWN) for state in (before, after))
    return 0.0 if UNKNOWN in {first, last} else float(last) - float(first)
