"""What OpenSSH's programs wrote when they failed, in words that say what to do."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from edgekit.errors import MissingError

if TYPE_CHECKING:
    from edgekit.devices.ssh_address import Address

NOT_FOUND = (126, 127)
"""A shell's exit status for a command that is not there, or cannot be run."""
CONNECTION = 255
"""ssh's own exit status; any other is that of the command."""
UNREACHABLE = re.compile(
    r"connection refused|no route to host|network is unreachable|timed out|could not resolve|name or service",
    re.I,
)
LOST = re.compile(r"closed|reset by|broken pipe|not responding|lost connection", re.I)
PYTHON = "sudo apt-get install python3, or name one with ssh://…?python=/path/to/python3 (3.9 or later)"


def connection_failed(address: Address, told: str, doing: str) -> MissingError:
    """`told` is what ssh wrote to stderr, `doing` what went on."""
    by_hand = address.by_hand()
    if "IDENTIFICATION HAS CHANGED" in told:
        return MissingError(
            f"{address}: its host key is not the one that is known: it was installed anew, or another machine answers",
            hint=f"compare fingerprints on the device; if it is right: ssh-keygen -R HOST, then {by_hand}",
        )
    if "Host key verification failed" in told:
        return MissingError(
            f"{address}: its host key is not known here",
            hint=f"connect once by hand and compare the fingerprint: {by_hand}",
        )
    if "Permission denied" in told:
        return MissingError(
            f"{address} refused to log in",
            hint=f"a key must do without questions (ssh-copy-id, ssh-add); try {by_hand} -o BatchMode=yes",
        )
    last = told.strip().splitlines()[-1].strip()
    if UNREACHABLE.search(told):
        return MissingError(f"{address} cannot be reached: {last}", hint=f"is it on? try {by_hand}")
    if LOST.search(told):
        return MissingError(
            f"the connection to {address} was lost while {doing}: {last}",
            hint=f"is it still on? try {by_hand}",
        )
    return MissingError(f"{address} failed while {doing}: {last}", hint=f"try {by_hand}")


def agent_failed(address: Address, status: int | None, told: str, doing: str) -> MissingError:
    """What it means that the agent's ssh ended, with its exit status (None: killed, for it did not answer)."""
    if status is None:
        return MissingError(
            f"{address} does not answer while {doing}", hint="is it overloaded, or out of memory?"
        )
    if status == CONNECTION and not told.strip():  # ssh has nothing to say of a command that a signal ended
        return _ended(address, "no word from it", doing)
    if status == CONNECTION:
        return connection_failed(address, told, doing)
    if status in NOT_FOUND:
        return MissingError(f"{address} has no {address.python}", hint=f"on the device: {PYTHON}")
    last = (told.strip().splitlines() or [f"exit status {status}"])[-1].strip()
    if doing == STARTING:
        return MissingError(
            f"{address}: {address.python} failed there: {last}", hint=f"on the device: {PYTHON}"
        )
    return _ended(address, last, doing)


def _ended(address: Address, last: str, doing: str) -> MissingError:
    return MissingError(
        f"{address}: edgekit's process there ended while {doing}: {last}",
        hint="was it killed? a device that runs out of memory kills processes (dmesg tells)",
    )


STARTING = "connecting"
