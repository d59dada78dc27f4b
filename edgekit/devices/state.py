"""What a Linux machine tells of itself in /proc and /sys, and a Raspberry Pi by `vcgencmd`.

Standard library only, for Python 3.9 and later: `agent.py` reads it on other machines.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

UNKNOWN = "unknown"
CPUFREQ = "sys/devices/system/cpu/cpu[0-9]*/cpufreq"
DEVFREQ = "sys/class/devfreq/*"
"""GPUs, memory controllers and accelerators."""
SLOWING = ("cpufreq", "devfreq", "Processor")
"""In the type of a cooling device that cools by slowing down; fans do not."""


def read_state(root: Path) -> dict[str, str]:
    """Facts by name, under `root` (`/` but in tests); `unknown` where the machine does not tell."""
    return {
        "cpu": cpu_name(root),
        "machine": platform.machine() or UNKNOWN,
        "system": f"{platform.system()} {platform.release()}",
        "board": _text(root / "proc/device-tree/model"),
        "board_release": _text(root / "etc/nv_tegra_release").split("\n")[0],
        "python": platform.python_version(),
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
        "cooling_level": _cooling(root),
        "firmware_throttled": _firmware_throttled(root),
        "devfreq": ", ".join(path.name for path in sorted(root.glob(DEVFREQ))) or UNKNOWN,
        "devfreq_governor": _each(root, f"{DEVFREQ}/governor"),
        "devfreq_mhz": _each(root, f"{DEVFREQ}/cur_freq", _millionth),
        "devfreq_min_mhz": _each(root, f"{DEVFREQ}/min_freq", _millionth),
        "devfreq_max_mhz": _each(root, f"{DEVFREQ}/max_freq", _millionth),
        "temperature_c": _each(root, "sys/class/thermal/thermal_zone*/temp", _thousandth),
        "thermal_zones": _each(root, "sys/class/thermal/thermal_zone*/type"),
        "load_1min": _text(root / "proc/loadavg").split(" ")[0],
        "memory_total_mb": _memory(root, "MemTotal"),
        "memory_available_mb": _memory(root, "MemAvailable"),
        "swap_free_mb": _memory(root, "SwapFree"),
        "oom_kills": _counter(root, "oom_kill"),
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


def _millionth(text: str) -> str:
    """From Hz to MHz."""
    return f"{int(text) / 1e6:g}" if text.isdigit() else text


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


def _counter(root: Path, key: str) -> str:
    """An event counter of the kernel's memory management."""
    for line in _text(root / "proc/vmstat").splitlines():
        name, _, value = line.partition(" ")
        if name == key:
            return value
    return UNKNOWN


def _cooling(root: Path) -> str:
    """How far processors are slowed down to cool them, by cooling device (Linux thermal sysfs); 0: not at all."""
    devices = sorted(root.glob("sys/class/thermal/cooling_device*"))
    levels = {
        _text(device / "cur_state")
        for device in devices
        if any(word in _text(device / "type") for word in SLOWING)
    }
    return ", ".join(sorted(levels)) or UNKNOWN


def _firmware_throttled(root: Path) -> str:
    """A Raspberry Pi's `throttled=0x50005`: bits 0 to 3 now, 16 to 19 since it was started."""
    program = shutil.which(
        "vcgencmd", path=os.pathsep.join(str(root / place) for place in ("usr/bin", "opt/vc/bin"))
    )
    if program is None:
        return UNKNOWN
    try:
        told = subprocess.run(
            [program, "get_throttled"], capture_output=True, text=True, timeout=5, check=False
        ).stdout
    except (OSError, subprocess.TimeoutExpired):  # not ours to run, or a firmware that does not answer
        return UNKNOWN
    return told.strip().partition("=")[2] or UNKNOWN
