"""Whether the machine changed under a measurement, on states worked out by hand."""

from __future__ import annotations

import pytest

from edgekit.bench import disturbance
from edgekit.measurement import DeviceState

CALM = {
    "governor": "performance",
    "max_clock_mhz": "2400",
    "throttle_events": "0",
    "steal_ticks": "1000",
    "busy_ticks": "5000",
    "cpu_pressure_us": "1000000",
    "uptime_s": "100.0",
}


def after(**changes: str) -> DeviceState:
    """Ten seconds and a thousand busy ticks later."""
    return DeviceState(facts={**CALM, "uptime_s": "110.0", "busy_ticks": "6000", **changes})


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({}, ""),
        ({"steal_ticks": "1050"}, ""),  # 50 of 1050 ticks are 4.8 %
        ({"steal_ticks": "1250"}, "the hypervisor took 20% of the busy time"),
        ({"cpu_pressure_us": "3400000"}, ""),  # 2.4 of 10 s
        ({"cpu_pressure_us": "6000000"}, "tasks waited for a core 50% of the time: something else runs here"),
        ({"governor": "powersave"}, "governor went from performance to powersave"),
        ({"throttle_events": "2"}, "throttle_events went from 0 to 2"),
        (
            {"max_clock_mhz": "1500", "steal_ticks": "2000"},
            "max_clock_mhz went from 2400 to 1500; the hypervisor took 50% of the busy time",
        ),
    ],
)
def test_reasons(changes: dict[str, str], reason: str) -> None:
    assert disturbance(DeviceState(facts=CALM), after(**changes)) == reason


def test_a_machine_that_tells_nothing_is_not_accused() -> None:
    silent = DeviceState(facts=dict.fromkeys(CALM, "unknown"))
    assert disturbance(silent, silent) == ""
    assert disturbance(DeviceState(facts={}), DeviceState(facts={})) == ""
