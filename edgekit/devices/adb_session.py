"""A folder on a phone that is one user's while it is there: files by their content, one process at a time.

Making a folder is atomic: whoever makes it has the phone. It names its owner, so that the folder of a session that
died is told from one that lives, and taken away with the process that it may have left running.
"""

from __future__ import annotations

import atexit
import os
import platform
import shlex
import time
from typing import TYPE_CHECKING

from edgekit import files
from edgekit.errors import MissingError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from edgekit.devices.adb_phone import Ended, Phone

FOLDER = "/data/local/tmp/edgekit-session"
BOOT = "/proc/sys/kernel/random/boot_id"
"""Another one after each start of the phone."""
HOLD = f"""
boot=$(cat {BOOT} 2>/dev/null || echo unknown)
if said=$(mkdir {FOLDER} 2>&1)
then echo {{owner}} $boot >{FOLDER}/owner && echo held
elif [ -d {FOLDER} ]
then echo "taken $boot $(cat {FOLDER}/owner 2>/dev/null)"
else echo "$said"
fi
"""
END = """
pid=$(cat {folder}/pid 2>/dev/null)
[ -n "$pid" ] && grep -q edgekit-session "/proc/$pid/cmdline" 2>/dev/null && kill -9 "$pid"
"""
"""End the process that runs out of a folder, by its id, and only if the id is still that process's."""
TRIES = 3
PAUSE_SECONDS = 1.0
"""Between making a folder and naming its owner: one that has no owner after that is a dead session's."""


class Session:
    """The phone's folder, made at the first use and taken away by `close`, or when this program ends."""

    def __init__(self, phone: Phone) -> None:
        self.phone = phone
        self._held = False
        self._sent: set[str] = set()
        atexit.register(self.close)

    def place(self, path: Path) -> str:
        """Where a file's content lies on the phone; it is sent where it does not yet lie there.

        Raises `MissingError` where the phone is another one's, cannot be reached, or has no space.
        """
        self._hold()
        digest = files.sha256(path)
        place = f"{FOLDER}/{digest[:24]}"
        if digest not in self._sent:
            self.phone.push(path, f"{place}.part")
            ended = self.phone.shell(f"chmod 755 {place}.part && mv {place}.part {place}")
            if ended.code != 0:
                raise MissingError(f"{self.phone.serial} refused {path.name}: {ended.output.strip()}")
            self._sent.add(digest)
        return place

    def run(self, command: Sequence[str], timeout_s: float) -> Ended:
        """Run a program on the phone; at the time limit it is ended there."""
        self._hold()
        line = shlex.join(["sh", "-c", 'echo $$ >"$0" && exec "$@"', f"{FOLDER}/pid", *command])
        ended = self.phone.shell(line, timeout_s)
        if ended.code is None:
            self.phone.shell(END.format(folder=FOLDER))
        return ended

    def close(self) -> None:
        """End what runs there and take the folder away; a phone that is gone keeps it until it is used again."""
        if not self._held:
            return
        self._held = False
        self._sent.clear()
        try:
            self.phone.shell(f"{END.format(folder=FOLDER)}\nrm -rf {FOLDER}")
        except MissingError:
            return  # the next session finds the folder, and by its owner that it is a dead one's

    def _hold(self) -> None:
        if self._held:
            return
        owner = f"{shlex.quote(platform.node() or 'unnamed')} {os.getpid()}"
        found = ""
        for _ in range(TRIES):
            said = self.phone.ask(HOLD.format(owner=owner)).strip()
            if said == "held":
                self._held = True
                return
            if not said.startswith("taken "):
                raise MissingError(
                    f"{self.phone.serial} takes no files: {said}",
                    hint=f"free space on the phone: adb -s {self.phone.serial} shell df /data",
                )
            boot, _, found = said.removeprefix("taken ").partition(" ")
            if found and not _dead(boot, *found.split()):
                break
            self._take_away(found)
        raise self._busy(found)

    def _take_away(self, owner: str) -> None:
        """Remove a dead session's folder, if it is still that one's; of two who try at once one moves nothing."""
        if not owner:
            time.sleep(PAUSE_SECONDS)
        dead = shlex.quote(f"{FOLDER}.dead-{platform.node()}-{os.getpid()}")
        still = f'[ "$(cat {FOLDER}/owner 2>/dev/null)" = {shlex.quote(owner)} ]'
        self.phone.ask(f"{still} && {{\n{END.format(folder=FOLDER)}\nmv {FOLDER} {dead} && rm -rf {dead}\n}}")

    def _busy(self, owner: str) -> MissingError:
        host, process, *_ = [*owner.split(), "?", "?"]
        return MissingError(
            f"{self.phone.serial} is in use: process {process} on {host} measures on it",
            hint=f"wait for it; if it is none of edgekit's any more: adb -s {self.phone.serial} shell rm -r {FOLDER}",
        )


def _dead(boot: str, host: str, process: str = "", then: str = "") -> bool:
    """Whether an owner is no more: the phone has restarted since, or the process on this machine has ended."""
    if not process.isdigit() or boot != then:
        return True
    return host == (platform.node() or "unnamed") and not _alive(int(process))


def _alive(process: int) -> bool:
    if process == os.getpid():
        return False  # a session of this very process that lost sight of its folder
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
