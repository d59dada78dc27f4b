"""What must be equal for two latencies to be comparable: the machine, how it is set, the runtime."""

from __future__ import annotations

from edgekit.errors import MeasurementError
from edgekit.measurement import DeviceState

MACHINE = ("cpu", "machine", "system", "cores", "usable_cores", "cpu_quota")
SETTINGS = ("governor", "power_mode", "max_clock_mhz")


def fingerprint(state: DeviceState, *, threads: int) -> dict[str, str]:
    """The facts of a device that latencies hang on, as far as it tells them, and the threads."""
    told = {name: state.facts[name] for name in (*MACHINE, *SETTINGS) if name in state.facts}
    return told | {"threads": str(threads)}


def refuse_other_machine(start: DeviceState, now: DeviceState) -> None:
    """Raise `MeasurementError` where another machine answers than the one that began."""
    for name in MACHINE:
        was, becomes = (state.facts.get(name, "unknown") for state in (start, now))
        if was != becomes:
            raise MeasurementError(
                f"the device changed half-way: {name} went from {was} to {becomes}",
                hint="latencies of different devices are no comparison; begin again",
            )
