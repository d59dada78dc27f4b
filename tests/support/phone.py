"""A folder that stands for a phone's file system, with a shell that has what Android's has and no more."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from ssh_server import all_processes

TEMPORARY = "data/local/tmp"
TOOL_SOURCE = Path(__file__).with_name("benchmark_model_tool.py")
PROGRAMS = ("cat", "chmod", "grep", "ls", "mkdir", "mv", "rm", "sha256sum", "sh", "sleep")
MAPPED = re.compile(
    r"/data/local/tmp|/sys/(?=[dfc])|/proc/(?=cpuinfo|loadavg|meminfo|stat|uptime|sys|pressure)"
)
"""Paths of the phone; what it asks of its processes (`/proc/PID`) is this machine's."""
SCRIPTS = {
    "uname": 'case "$1" in -m) echo aarch64;; -r) echo 5.10.157-android13;; esac',
    "nproc": "echo 8",
    "getprop": 'case "$1" in ro.soc.model) echo SM8550;; ro.product.model) echo "Test Phone";; '
    "ro.build.version.release) echo 14;; *) echo;; esac",
    "settings": 'if [ "$*" = "get global low_power" ]; then echo 0; else echo null; fi',
    "taskset": 'echo "$1" >>"$PHONE/masks"; shift; exec "$@"',
}
DUMPSYS = """
case "$1" in
thermalservice) cat <<END
IsStatusOverride: false
Thermal Status: $(cat "$PHONE/thermal_status")
Cached temperatures:
\tTemperature{mValue=25.0, mType=0, mName=AP, mStatus=0}
HAL Ready: true
Current temperatures from HAL:
\tTemperature{mValue=41.5, mType=0, mName=CPU0, mStatus=0}
\tTemperature{mValue=33.0, mType=3, mName=skin, mStatus=0}
Current cooling devices from HAL:
END
;;
battery) cat <<END
Current Battery Service state:
  AC powered: false
  USB powered: true
  level: 87
  temperature: 285
END
;;
esac
"""
FILES = {
    "proc/cpuinfo": "processor\t: 0\nBogoMIPS\t: 38.40\n",
    "proc/loadavg": "1.25 1.00 0.90 2/900 4321\n",
    "proc/meminfo": "MemTotal: 8388608 kB\nMemAvailable: 4194304 kB\nSwapFree: 1024 kB\n",
    "proc/stat": "cpu  100 20 30 4000 50 6 7 0 0 0\n",
    "proc/uptime": "5000.25 40000.00\n",
    "proc/sys/kernel/random/boot_id": "11111111-2222-3333-4444-555555555555\n",
    "thermal_status": "0\n",
}


@dataclass
class PhoneFolder:
    """The file system under `root`, and what is wrong with the phone."""

    root: Path
    shell_v2: bool = True
    free_bytes: int = 10**9
    vanish_at: str = ""
    """A file that is sent or a command that holds this text breaks the connection off."""
    sent: list[str] = field(default_factory=list)
    commands: list[str] = field(default_factory=list)
    started: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        (self.root / TEMPORARY).mkdir(parents=True)
        for name, text in FILES.items():
            self.write(name, text)
        for core in range(8):
            folder = f"sys/devices/system/cpu/cpu{core}/cpufreq"
            self.write(f"{folder}/scaling_governor", "walt\n")
            self.write(f"{folder}/scaling_cur_freq", "1200000\n" if core < 4 else "2800000\n")
            self.write(f"{folder}/scaling_max_freq", "2016000\n" if core < 4 else "3187200\n")
        for name in PROGRAMS:
            program = shutil.which(name)
            if program is None:
                raise FileNotFoundError(name)
            # No link: a test that writes over it must never reach this machine's own.
            self.write(f"bin/{name}", f'#!/bin/sh\nexec {program} "$@"\n').chmod(0o755)
        for name, body in {**SCRIPTS, "dumpsys": DUMPSYS}.items():
            self.write(f"bin/{name}", f"#!/bin/sh\n{body}\n").chmod(0o755)

    def write(self, name: str, text: str) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        return path

    def place(self, name: str) -> Path:
        """Where a path of the phone lies here."""
        return self.root / name.lstrip("/")

    def install(self, script: str) -> Path:
        """A `benchmark_model` in its usual place."""
        path = self.write(f"{TEMPORARY}/benchmark_model", script)
        path.chmod(0o755)
        return path

    def install_tool(self, *words: str) -> Path:
        """A `benchmark_model` that runs files in LiteRT; `words` say how it behaves."""
        return self.install(tool(*words))

    def vanishes_at(self, text: str) -> bool:
        return bool(self.vanish_at) and self.vanish_at in text

    def shell(self, text: str, drop: Callable[[], None]) -> tuple[int, bytes]:
        """Exit status and output of a command, whose paths are this folder's."""
        self.commands.append(text)
        text = MAPPED.sub(lambda found: f"{self.root}{found[0]}", text)
        process = subprocess.Popen(
            ["/bin/sh", "-c", text],
            cwd=self.root,
            env={"PATH": str(self.root / "bin"), "PHONE": str(self.root)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        self.started.append(process.pid)
        if self.vanishes_at(text):
            time.sleep(0.3)
            drop()
        output, _ = process.communicate()
        return process.returncode % 256, output.replace(str(self.root).encode(), b"")

    def running(self) -> list[str]:
        """Command lines of what the shell started and still runs."""
        found = []
        for pid in all_processes():
            folder = Path(f"/proc/{pid}")
            try:
                session = int((folder / "stat").read_text().rpartition(")")[2].split()[3])
                line = (folder / "cmdline").read_bytes()
            except (OSError, ValueError):  # it ended while we looked
                continue
            if session in self.started and line:
                found.append(line.replace(b"\0", b" ").decode())
        return found

    def end(self) -> None:
        """End what runs."""
        for process in self.started:
            try:
                os.killpg(process, signal.SIGKILL)
            except (ProcessLookupError, PermissionError):
                continue

    def left_over(self) -> list[str]:
        """What lies in the temporary folder besides the tool."""
        return sorted(
            path.name for path in (self.root / TEMPORARY).iterdir() if "benchmark_model" not in path.name
        )


def scripted_tool(microseconds: Mapping[str, int] = MappingProxyType({})) -> str:
    """A tool that runs nothing and claims a time by the file's hash, 1000 µs for any other: for many processes."""
    cases = "".join(f"*/{digest[:24]}*) us={us};;\n" for digest, us in microseconds.items())
    return f"""#!/bin/sh
us=1000
case "$*" in
--help) printf '\\t--%s=\\n' graph num_threads num_runs min_secs max_secs warmup_runs use_xnnpack; exit 1;;
{cases}esac
echo "Explicitly applied XNNPACK delegate, and the model graph will be completely executed by the delegate."
echo "count=1 curr=$us p5=$us median=$us p95=$us"
echo "count=50 first=$us curr=$us min=$us max=$us avg=$us std=0 p5=$us median=$us p95=$us"
echo "Inference timings in us: Init: 900, First inference: $us, Warmup (avg): $us, Inference (avg): $us"
"""


def tool(*words: str) -> str:
    """A script that starts the tool; its process is the tool's."""
    return f'#!/bin/sh\nexec {sys.executable} {TOOL_SOURCE} {" ".join(words)} -- "$@"\n'
