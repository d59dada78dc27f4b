"""Whether the machine stayed what it was while something was measured on it."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from edgekit.devices.state import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.measurement import DeviceState

STEADY = (
    "governor",
    "max_clock_mhz",
    "devfreq_governor",
    "devfreq_max_mhz",
    "power_mode",
    "throttle_events",
    "cooling_level",
    "firmware_throttled",
    "page_hidden",  # browsers slow a page down that nobody sees
)
THROTTLED_NOW = 0xF
"""Bits of a Raspberry Pi's `get_throttled`: under-voltage, clock capped, throttled, temperature limit; higher ones
tell of the past."""
STEAL_LIMIT = 0.05
"""Of the busy time, what a hypervisor may take before medians move."""
PRESSURE_LIMIT = 0.25
"""Of the time, in how much some task may wait for a core."""


def changes(states: Sequence[DeviceState]) -> str:
    """What makes samples taken between states invalid, in one line; empty where nothing is told against them.

    A governor, a power mode, a clock's limit or a count of throttlings that changed, or a throttle in force.
    """
    return "; ".join((*_changed(states), *_throttled(states)))


def disturbance(before: DeviceState, after: DeviceState) -> str:
    """Why samples between two states should not be believed, in one line; empty where nothing is against it.

    Besides `changes`: a hypervisor that took the processor away (steal time, proc(5)); tasks that waited for a core
    (pressure stall information), of whomever.
    """
    return "; ".join(reason for reason in (changes((before, after)), _noise(before, after)) if reason)


def _noise(before: DeviceState, after: DeviceState) -> str:
    """Who else was at work, in one line: samples are doubtful, not invalid."""
    reasons = []
    stolen, busy = _grown(before, after, "steal_ticks"), _grown(before, after, "busy_ticks")
    if stolen > STEAL_LIMIT * (stolen + busy):
        reasons.append(f"the hypervisor took {stolen / (stolen + busy):.0%} of the busy time")
    waited, passed = _grown(before, after, "cpu_pressure_us") / 1e6, _grown(before, after, "uptime_s")
    if passed and waited > PRESSURE_LIMIT * passed:
        reasons.append(f"tasks waited for a core {waited / passed:.0%} of the time: something else runs here")
    return "; ".join(reasons)


def _changed(states: Sequence[DeviceState]) -> Iterator[str]:
    for name in STEADY:
        for was, becomes in pairwise(state.facts.get(name, UNKNOWN) for state in states):
            if was != becomes:
                yield f"{name} went from {was} to {becomes}"
                break


def _throttled(states: Sequence[DeviceState]) -> Iterator[str]:
    firmware = {state.facts.get("firmware_throttled", UNKNOWN) for state in states} - {UNKNOWN}
    if any(int(value, 16) & THROTTLED_NOW for value in firmware):
        yield "the firmware holds the clock down (vcgencmd get_throttled): power supply or temperature"
    levels = {state.facts.get("cooling_level", UNKNOWN) for state in states}
    if levels - {UNKNOWN, "0"}:
        yield "the kernel slows the processor down to cool it"


def _grown(before: DeviceState, after: DeviceState, name: str) -> float:
    first, last = (state.facts.get(name, UNKNOWN) for state in (before, after))
    return 0.0 if UNKNOWN in {first, last} else float(last) - float(first)
