"""A phone that the system's `adb` reaches: shell commands with their exit status, files sent, what went wrong."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.errors import MissingError

if TYPE_CHECKING:
    from pathlib import Path

ADB = "adb"
INSTALL = "apt-get install adb, or put Android's platform-tools on the PATH"
MARK = "__rc="
"""Before Android 7 `adb shell` loses the exit status (no `shell_v2`): the shell is asked for it."""
ANSWER_SECONDS = 30.0
PUSH_SECONDS = 600.0
PROBLEMS = {
    "unauthorized": ("is not authorized", "unlock the phone and accept this computer's key (USB debugging)"),
    "authorizing": (
        "waits for its user's word",
        "unlock the phone and accept this computer's key (USB debugging)",
    ),
    "offline": ("is offline", "unplug it and plug it in again, or: adb -s {serial} reconnect"),
    "no permissions": (
        "may not be opened",
        "let your user use USB devices: apt-get install android-sdk-platform-tools-common",
    ),
    "not found": ("is not connected", "{attached}"),
    "no devices": ("is not connected", "{attached}"),
}
"""What adb says → what it means, and what mends it."""


@dataclass(frozen=True)
class Ended:
    """A shell command that ended; `code` is None where it was still running at its time limit."""

    output: str
    """Both of its streams."""
    code: int | None


@dataclass(frozen=True)
class Phone:
    """One serial number; every method raises `MissingError` where adb or the phone cannot be reached."""

    serial: str

    def check(self) -> None:
        """Is it there, and may we?"""
        try:
            found = self._adb("get-state", timeout_s=ANSWER_SECONDS)
        except subprocess.TimeoutExpired as expired:
            raise MissingError(f"adb does not answer about {self.serial}", hint=self._hint()) from expired
        if found.returncode or found.stdout.strip() != b"device":
            raise self._gone(_text(found.stderr) or _text(found.stdout))

    def shell(self, script: str, timeout_s: float = ANSWER_SECONDS) -> Ended:
        """Run lines of POSIX shell; whatever comes from a user must be quoted in them (`shlex.quote`)."""
        try:
            found = self._adb("shell", f"(\n{script}\n) 2>&1 </dev/null; echo {MARK}$?", timeout_s=timeout_s)
        except subprocess.TimeoutExpired as expired:
            return Ended(_text(expired.stdout or b""), None)
        output, mark, code = _text(found.stdout).rpartition(MARK)
        if not mark or not code.strip().isdigit():
            raise self._gone(_text(found.stderr) or "the connection broke off")
        return Ended(output, int(code))

    def ask(self, script: str) -> str:
        """What quick lines of shell write, whatever their exit status."""
        ended = self.shell(script, ANSWER_SECONDS)
        if ended.code is None:
            raise MissingError(
                f"{self.serial} does not answer: it took over {ANSWER_SECONDS:g} s", hint=self._hint()
            )
        return ended.output

    def push(self, path: Path, place: str) -> None:
        """Send a file."""
        try:
            found = self._adb("push", str(path), place, timeout_s=PUSH_SECONDS)
        except subprocess.TimeoutExpired as expired:
            raise MissingError(
                f"{path} was not sent to {self.serial} within {PUSH_SECONDS:g} s", hint=self._hint()
            ) from expired
        if found.returncode:
            said = _complaint(_text(found.stderr) + _text(found.stdout))
            self.check()  # gone, or still there and refusing the file?
            raise MissingError(
                f"{path} cannot be sent to {self.serial}: {said}",
                hint=f"free space on the phone (adb -s {self.serial} shell df /data), or look at its permissions",
            )

    def _adb(self, *arguments: str, timeout_s: float) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                [ADB, "-s", self.serial, *arguments],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=timeout_s,
                check=False,
            )
        except FileNotFoundError as error:
            raise MissingError("adb is not installed", hint=INSTALL) from error

    def _gone(self, said: str) -> MissingError:
        for word, (what, hint) in PROBLEMS.items():
            if word in said:
                attached = self._hint() if "{attached}" in hint else ""
                return MissingError(
                    f"{self.serial} {what}", hint=hint.format(serial=self.serial, attached=attached)
                )
        return MissingError(f"{self.serial} went away: {_complaint(said)}", hint=self._hint())

    def _hint(self) -> str:
        try:
            listed = subprocess.run(
                [ADB, "devices"],
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=ANSWER_SECONDS,
                check=False,
            )
        except subprocess.TimeoutExpired:
            return "adb's own server hangs: adb kill-server"
        lines = _text(listed.stdout).partition("List of devices attached")[2].split("\n")
        attached = [" ".join(line.split()) for line in lines if line.strip()]
        connect = f"; over the network: adb connect {self.serial}" if ":" in self.serial else ""
        return f"`adb devices` lists: {', '.join(attached) or 'none'}{connect}"


def _text(raw: bytes) -> str:
    """Without `shell_v2` a terminal stands between, and ends lines in CR LF."""
    return raw.decode(errors="replace").replace("\r\n", "\n")


def _complaint(text: str) -> str:
    """The line that says what is wrong: adb writes it to one stream or the other, and not always last."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return next((line for line in lines if "error" in line), lines[-1] if lines else "adb says nothing")
