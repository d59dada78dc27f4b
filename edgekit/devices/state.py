"""What a Linux machine tells of itself in /proc and /sys; standard library only, for any device."""

from __future__ import annotations

import os
import platform
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNKNOWN = "unknown"
CPUFREQ = "sys/devices/system/cpu/cpu[0-9]*/cpufreq"


def read_state(root: Path) -> dict[str, str]:
    """Facts by name, under `root` (`/` but in tests); `unknown` where the machine does not tell."""
    return {
        "cpu": cpu_name(root),
        "machine": platform.machine() or UNKNOWN,
        "system": f"{platform.system()} {platform.release()}",
        "cores": str(os.cpu_count() or UNKNOWN),
        "usable_cores": _usable_cores(),
        "cpu_quota": _text(root / "sys/fs/cgroup/cpu.max"),
        "power_mode": _text(root / "var/lib/nvpmodel/status"),  # a Jetson's nvpmodel keeps it there
        "governor": _each(root, f"{CPUFREQ}/scaling_governor"),
        "clock_mhz": _each(root, f"{CPUFREQ}/scaling_cur_freq", _thousandth),
        "max_clock_mhz": _each(root, f"{CPUFREQ}/scaling_max_freq", _thousandth),
        "throttle_events": _each(
            root, "sys/devices/system/cpu/cpu[0-9]*/thermal_throttle/core_throttle_count"
        ),
        "temperature_c": _each(root, "sys/class/thermal/thermal_zone*/temp", _thousandth),
        "thermal_zones": _each(root, "sys/class/thermal/thermal_zone*/type"),
        "load_1min": _text(root / "proc/loadavg").split(" ")[0],
        "memory_total_mb": _memory(root, "MemTotal"),
        "memory_available_mb": _memory(root, "MemAvailable"),
        "swap_free_mb": _memory(root, "SwapFree"),
        "steal_ticks": _ticks(root)[7],
        "busy_ticks": _sum(_ticks(root), (0, 1, 2, 5, 6)),
        "cpu_pressure_us": _pressure_total(root),
        "uptime_s": _text(root / "proc/uptime").split(" ")[0],
    }


def cpu_name(root: Path) -> str:
    """The processor's name: x86 says `model name`; on ARM the board's device tree names the machine."""
    for line in _text(root / "proc/cpuinfo").splitlines():
        key, _, value = line.partition(":")
        if key.strip() in {"model name", "Hardware"} and value.strip():
            return value.strip()
    return _text(root / "proc/device-tree/model")


def _usable_cores() -> str:
    if hasattr(os, "sched_getaffinity"):
        return str(len(os.sched_getaffinity(0)))
    return UNKNOWN


def _text(path: Path) -> str:
    try:
        text = path.read_text(encoding="utf-8", errors="replace").strip("\0\n ")
    except OSError:  # absent, or not ours to read: both mean that the machine does not tell
        return UNKNOWN
    return text or UNKNOWN


def _thousandth(text: str) -> str:
    """From kHz to MHz, from millidegrees to degrees."""
    return f"{int(text) / 1000:g}" if text.lstrip("-").isdigit() else text


def _each(root: Path, pattern: str, convert: Callable[[str], str] = str) -> str:
    """The values of all files that match; one alone where all are the same."""
    values = [convert(_text(path)) for path in sorted(root.glob(pattern))]
    return ", ".join(values[:1] if len(set(values)) == 1 else values) or UNKNOWN


def _memory(root: Path, key: str) -> str:
    for line in _text(root / "proc/meminfo").splitlines():
        name, _, value = line.partition(":")
        if name == key:
            return f"{int(value.split()[0]) / 1024:.0f}"
    return UNKNOWN


def _ticks(root: Path) -> list[str]:
    """user, nice, system, idle, iowait, irq, softirq, steal since the machine started (proc(5))."""
    fields = _text(root / "proc/stat").split("\n")[0].split()
    return fields[1:9] if len(fields) >= 9 and fields[0] == "cpu" else [UNKNOWN] * 8


def _sum(values: list[str], places: tuple[int, ...]) -> str:
    chosen = [values[place] for place in places]
    return UNKNOWN if UNKNOWN in chosen else str(sum(int(value) for value in chosen))


def _pressure_total(root: Path) -> str:
    """Microseconds in which some task waited for a processor (pressure stall information, `some total`)."""
    for word in _text(root / "proc/pressure/cpu").split("\n")[0].split():
        if word.startswith("total="):
            return word.removeprefix("total=")
    return UNKNOWN
