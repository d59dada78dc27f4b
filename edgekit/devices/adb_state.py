"""What an Android phone tells of itself: the facts of `state.py`, read over adb, and what only Android knows."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.devices.state import CPUFREQ, UNKNOWN, read_state

if TYPE_CHECKING:
    from edgekit.devices.adb_phone import Phone

MARK = "@@ "
FILES = (
    "proc/cpuinfo",
    "proc/loadavg",
    "proc/meminfo",
    "proc/stat",
    "proc/uptime",
    "proc/pressure/cpu",
    "sys/fs/cgroup/cpu.max",
    f"{CPUFREQ}/scaling_governor",
    f"{CPUFREQ}/scaling_cur_freq",
    f"{CPUFREQ}/scaling_max_freq",
    "sys/class/thermal/thermal_zone*/temp",
    "sys/class/thermal/thermal_zone*/type",
)
"""What `read_state` reads, as far as Android has it."""
COMMANDS = {
    "machine": "uname -m",
    "kernel": "uname -r",
    "usable_cores": "nproc",
    "cores": "ls -d /sys/devices/system/cpu/cpu[0-9]*",
    "soc": "getprop ro.soc.model",
    "board": "getprop ro.board.platform",
    "model": "getprop ro.product.model",
    "android": "getprop ro.build.version.release",
    "low_power": "settings get global low_power",
    "thermal": "dumpsys thermalservice",
    "battery": "dumpsys battery",
}
ASK = "\n".join(
    [
        f'grep "" /dev/null {" ".join("/" + name for name in FILES)}',  # all at once: each line after its file's name
        *(f'echo; echo "{MARK}{name}"; {command}' for name, command in COMMANDS.items()),
    ]
)
SENSOR = re.compile(r"Temperature\{mValue=([-\d.]+), mType=\d+, mName=([^,}]+)")


def ask_state(phone: Phone) -> dict[str, str]:
    """Facts by name, `unknown` where the phone does not tell; raises `MissingError` where it cannot be reached."""
    texts, _, answers = phone.ask(f"{{\n{ASK}\n}} 2>/dev/null").partition(f"\n{MARK}")
    with tempfile.TemporaryDirectory(prefix="edgekit-") as name:
        root = Path(name)
        for place, text in _by_file(texts).items():
            path = root / place
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        facts = read_state(root)
    parts = (part.partition("\n") for part in answers.split(f"\n{MARK}"))
    return facts | _androids_own({name: body.strip() for name, _, body in parts}, facts)


def _by_file(text: str) -> dict[str, str]:
    """`/proc/stat:cpu 1 2` lines → file and its text; only files below /proc and /sys."""
    found: dict[str, str] = {}
    for line in text.splitlines():
        place, colon, rest = line.partition(":")
        if colon and re.fullmatch(r"/(proc|sys)(/\w[\w.-]*)+", place):
            found[place.lstrip("/")] = found.get(place.lstrip("/"), "") + rest + "\n"
    return found


def _androids_own(told: dict[str, str], facts: dict[str, str]) -> dict[str, str]:
    """The facts of which this machine would have told its own, and those that Android keeps elsewhere."""
    thermal, battery = told.get("thermal", ""), told.get("battery", "")
    sensors = SENSOR.findall(thermal.partition("Current temperatures from HAL")[2] or thermal)
    status = re.search(r"Thermal Status: (\d+)", thermal)
    warmth = _field(battery, "temperature")
    model, soc = (
        _said(told, "model"),
        next((found for name in ("soc", "board") if (found := _said(told, name)) != UNKNOWN), UNKNOWN),
    )
    own = {
        "cpu": soc if soc != UNKNOWN else facts["cpu"],
        "model": model,
        "machine": _said(told, "machine"),
        "python": UNKNOWN,
        "system": f"Android {_said(told, 'android')}, Linux {_said(told, 'kernel')}",
        "cores": str(len(told.get("cores", "").split()) or UNKNOWN),
        "usable_cores": _said(told, "usable_cores"),
        "power_mode": {"0": "normal", "1": "battery saver"}.get(told.get("low_power", ""), UNKNOWN),
        "battery_percent": _field(battery, "level"),
        "battery_temperature_c": f"{int(warmth) / 10:g}" if warmth.isdigit() else UNKNOWN,
        "charging_from": _supply(battery),
    }
    if status:
        # Android counts no throttlings: 0 is none, 1 light, … 6 shutdown, and a change is one (PowerManager).
        own["throttle_events"] = f"thermal status {status[1]}"
    if facts["temperature_c"] == UNKNOWN and sensors:
        own["temperature_c"] = ", ".join(f"{float(value):g}" for value, _ in sensors)
        own["thermal_zones"] = ", ".join(name for _, name in sensors)
    return own


def _said(told: dict[str, str], name: str) -> str:
    return told.get(name, "") or UNKNOWN


def _field(text: str, name: str) -> str:
    found = re.search(rf"^\s*{name}: (\S+)", text, re.MULTILINE)
    return found[1] if found else UNKNOWN


def _supply(battery: str) -> str:
    if not battery:
        return UNKNOWN
    supplies = [name for name in ("AC", "USB", "Wireless") if _field(battery, f"{name} powered") == "true"]
    return ", ".join(supplies) or "nothing"
