"""What a machine tells of itself, read from trees like those of real ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from edgekit.devices import open_device
from edgekit.devices.local import Local
from edgekit.devices.state import read_state
from edgekit.errors import MissingError

if TYPE_CHECKING:
    from pathlib import Path

# As a Raspberry Pi shows itself, with one core throttled.
PI = {
    "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 108.00\n",
    "proc/device-tree/model": "Raspberry Pi 5 Model B Rev 1.0\0",
    "proc/loadavg": "0.52 0.40 0.31 1/200 1234\n",
    "proc/meminfo": "MemTotal: 8388608 kB\nMemFree: 1 kB\nMemAvailable: 4194304 kB\nSwapFree: 1024 kB\n",
    "proc/stat": "cpu  100 20 30 4000 50 6 7 80 0 0\ncpu0 1 2 3 4 5 6 7 8 0 0\n",
    "proc/uptime": "123.45 400.00\n",
    "proc/pressure/cpu": "some avg10=0.00 avg60=0.00 avg300=0.00 total=98765\nfull avg10=0.00 total=0\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_governor": "ondemand\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq": "2400000\n",
    "sys/devices/system/cpu/cpu1/cpufreq/scaling_cur_freq": "1500000\n",
    "sys/devices/system/cpu/cpu0/cpufreq/scaling_max_freq": "2400000\n",
    "sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count": "3\n",
    "sys/class/thermal/thermal_zone0/temp": "61850\n",
    "sys/class/thermal/thermal_zone0/type": "cpu-thermal\n",
    "sys/class/thermal/cooling_device0/type": "cpufreq-cpu0\n",
    "sys/class/thermal/cooling_device0/cur_state": "2\n",
    "sys/class/thermal/cooling_device1/type": "pwm-fan\n",
    "sys/class/thermal/cooling_device1/cur_state": "4\n",
    "proc/vmstat": "pgfault 5\noom_kill 3\n",
    "sys/fs/cgroup/cpu.max": "150000 100000\n",
}


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def test_facts_are_read_with_their_units(tmp_path: Path) -> None:
    facts = read_state(tree(tmp_path, PI))
    wanted = {
        "cpu": "Raspberry Pi 5 Model B Rev 1.0",
        "cpu_quota": "150000 100000",
        "governor": "ondemand",
        "clock_mhz": "2400, 1500",
        "max_clock_mhz": "2400",
        "throttle_events": "3",
        "cooling_level": "2",
        "oom_kills": "3",
        "board": "Raspberry Pi 5 Model B Rev 1.0",
        "temperature_c": "61.85",
        "thermal_zones": "cpu-thermal",
        "load_1min": "0.52",
        "memory_total_mb": "8192",
        "memory_available_mb": "4096",
        "swap_free_mb": "1",
        "steal_ticks": "80",
        "busy_ticks": str(100 + 20 + 30 + 6 + 7),
        "cpu_pressure_us": "98765",
        "uptime_s": "123.45",
    }
    assert {name: facts[name] for name in wanted} == wanted


def test_a_raspberry_pis_firmware_is_asked(tmp_path: Path) -> None:
    program = tree(tmp_path, {"usr/bin/vcgencmd": "#!/bin/sh\necho throttled=0x50005\n"}) / "usr/bin/vcgencmd"
    program.chmod(0o755)
    assert read_state(tmp_path)["firmware_throttled"] == "0x50005"
    program.write_text("#!/bin/sh\necho VCHI initialization failed >&2\nexit 255\n")
    assert read_state(tmp_path)["firmware_throttled"] == "unknown"


def test_a_jetson_tells_its_mode_and_its_gpu(tmp_path: Path) -> None:
    gpu = "sys/class/devfreq/17000000.gpu"
    facts = read_state(
        tree(
            tmp_path,
            {
                "etc/nv_tegra_release": "# R36 (release), REVISION: 4.3\nmore\n",
                "var/lib/nvpmodel/status": "pmode:0002 fmode:fanNull\n",
                f"{gpu}/cur_freq": "306000000\n",
                f"{gpu}/min_freq": "306000000\n",
                f"{gpu}/max_freq": "1020000000\n",
                f"{gpu}/governor": "nvhost_podgov\n",
            },
        )
    )
    wanted = {
        "board_release": "# R36 (release), REVISION: 4.3",
        "power_mode": "pmode:0002 fmode:fanNull",
        "devfreq": "17000000.gpu",
        "devfreq_mhz": "306",
        "devfreq_min_mhz": "306",
        "devfreq_max_mhz": "1020",
        "devfreq_governor": "nvhost_podgov",
    }
    assert {name: facts[name] for name in wanted} == wanted


def test_what_a_machine_does_not_tell_is_unknown(tmp_path: Path) -> None:
    facts = read_state(tmp_path)
    ours = {"machine", "system", "cores", "usable_cores", "python"}
    assert {value for name, value in facts.items() if name not in ours} == {"unknown"}


def test_x86_names_its_processor(tmp_path: Path) -> None:
    device = Local(tree(tmp_path, {"proc/cpuinfo": "processor\t: 0\nmodel name\t: AMD EPYC\n"}))
    assert device.name.startswith("local (AMD EPYC, ")
    assert device.state().facts["cpu"] == "AMD EPYC"


def test_local_is_opened_by_its_uri() -> None:
    assert isinstance(open_device("local"), Local)


@pytest.mark.parametrize("uri", ["webb", "local://other", "runner", ""])
def test_other_uris_are_refused(uri: str) -> None:
    with pytest.raises(MissingError, match="unknown device URI") as refusal:
        open_device(uri)
    assert refusal.value.exit_code == 3
    assert "local" in refusal.value.hint
