"""Whether the machine changed under a measurement, on states worked out by hand."""

from __future__ import annotations

import pytest

from edgekit.bench import disturbance
from edgekit.bench.steadiness import changes
from edgekit.measurement import DeviceState

CALM = {
    "governor": "performance",
    "max_clock_mhz": "2400",
    "throttle_events": "0",
    "power_mode": "pmode:0002",
    "cooling_level": "0",
    "firmware_throttled": "0x0",
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
        ({"power_mode": "pmode:0000"}, "power_mode went from pmode:0002 to pmode:0000"),
        ({"firmware_throttled": "0x40000"}, "firmware_throttled went from 0x0 to 0x40000"),
        (
            {"firmware_throttled": "0x50005"},
            (
                "firmware_throttled went from 0x0 to 0x50005; the firmware holds the clock down "
                "(vcgencmd get_throttled): power supply or temperature"
            ),
        ),
        (
            {"cooling_level": "0, 3"},
            "cooling_level went from 0 to 0, 3; the kernel slows the processor down to cool it",
        ),
        (
            {"max_clock_mhz": "1500", "steal_ticks": "2000"},
            "max_clock_mhz went from 2400 to 1500; the hypervisor took 50% of the busy time",
        ),
    ],
)
def test_reasons(changes: dict[str, str], reason: str) -> None:
    assert disturbance(DeviceState(facts=CALM), after(**changes)) == reason


def test_a_throttle_that_lasts_is_told_as_well() -> None:
    """Nothing changes, and yet no figure taken here is the device's."""
    for name, value, said in (
        ("firmware_throttled", "0x2", "holds the clock down"),
        ("cooling_level", "1", "to cool it"),
    ):
        throttled = DeviceState(facts={**CALM, name: value})
        assert said in changes([throttled, throttled])
    past = DeviceState(facts={**CALM, "firmware_throttled": "0x50000"})  # since it was started, not now
    assert changes([past, past]) == ""


def test_what_changed_for_a_while_is_found_between() -> None:
    calm, slow = DeviceState(facts=CALM), after(max_clock_mhz="600")
    assert changes([calm, slow, calm]) == "max_clock_mhz went from 2400 to 600"
    assert changes([calm, after(steal_ticks="9000"), after(steal_ticks="9000")]) == "", "noise is no change"


def test_a_machine_that_tells_nothing_is_not_accused() -> None:
    silent = DeviceState(facts=dict.fromkeys(CALM, "unknown"))
    assert disturbance(silent, silent) == ""
    assert disturbance(DeviceState(facts={}), DeviceState(facts={})) == ""
