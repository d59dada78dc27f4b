"""`ssh://[USER@]HOST[:PORT][?python=PATH]`: read, and as OpenSSH's programs want it."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from edgekit.errors import InputError

FORM = "write ssh://user@host, ssh://user@host:port, or ssh://user@host?python=/path/to/python3"
CONFIG = "EDGEKIT_SSH_CONFIG"
"""An ssh configuration in the place of ~/.ssh/config."""
URI = re.compile(
    r"ssh://(?:(?P<user>.*)@)?(?P<host>\[[^\]]*\]|[^@:/?]*)(?::(?P<port>[^/?]*))?/?(?:\?(?P<query>.*))?"
)
HOST = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._%+-]*|\[[0-9A-Fa-f:.]+(%[A-Za-z0-9._-]+)?\]")
OPTIONS = {
    "BatchMode": "yes",  # a question would wait for ever
    "StrictHostKeyChecking": "yes",
    "LogLevel": "ERROR",
    "ConnectTimeout": "20",
    "ServerAliveInterval": "10",
    "ServerAliveCountMax": "3",
    "ClearAllForwardings": "yes",
    "ForwardAgent": "no",
    "PermitLocalCommand": "no",
    "RemoteCommand": "none",
    "RequestTTY": "no",
}
"""What must hold whatever the user's configuration says; all else (keys, jump hosts, names) is its."""


@dataclass(frozen=True)
class Address:
    """Where a device is; what is left out is the ssh configuration's to say."""

    host: str
    user: str = ""
    port: int | None = None
    python: str = "python3"
    """Runs the agent and the jobs on the device."""

    def __str__(self) -> str:
        user, port = f"{self.user}@" if self.user else "", f":{self.port}" if self.port else ""
        return f"ssh://{user}{self.host}{port}"

    def ssh(self, control: str) -> list[str]:
        """`ssh` up to the command that the device is to run; other programs share the connection at `control`."""
        user = ["-l", self.user] if self.user else []
        port = ["-p", str(self.port)] if self.port else []
        master = {"ControlMaster": "yes", "ControlPath": control, "ControlPersist": "no"}
        return ["ssh", *_options(OPTIONS | master), *user, *port, "--", self._name]

    def sftp(self, control: str) -> list[str]:
        """`sftp` over the connection at `control`, and over no other."""
        shared = {"ControlMaster": "no", "ControlPath": control, "ProxyCommand": "false"}
        return ["sftp", *_options(OPTIONS | shared), "-b", "-", "--", self.host]

    def by_hand(self) -> str:
        """How a user reaches it in a terminal."""
        port = f"-p {self.port} " if self.port else ""
        return f"ssh {port}{self.user + '@' if self.user else ''}{self._name}"

    @property
    def _name(self) -> str:
        return self.host.strip("[]")


def _options(values: dict[str, str]) -> list[str]:
    config = os.environ.get(CONFIG)
    words = ["-F", config] if config else []
    for name, value in values.items():
        words += ["-o", f'{name}="{value}"' if " " in value else f"{name}={value}"]
    return words


def parse(uri: str) -> Address:
    """The address that a URI names; raises `InputError` for one that names none."""
    found = URI.fullmatch(uri)
    if found is None:
        raise InputError(f"{uri!r} is no address of a device", hint=FORM)
    host, port, user = found["host"], found["port"], unquote(found["user"] or "")
    if not HOST.fullmatch(host):
        raise InputError(
            f"{uri!r} names {'no host' if not host else f'no host that can be: {host!r}'}", hint=FORM
        )
    if port is not None and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536):
        raise InputError(f"{uri!r}: the port {port!r} is no number from 1 to 65535", hint=FORM)
    if found["user"] == "" or user.startswith("-") or not user.isprintable():
        raise InputError(f"{uri!r} names no user that can be: {user!r}", hint=FORM)
    query = parse_qsl(found["query"] or "", keep_blank_values=True)
    if wrong := [name for name, value in query if name != "python" or not value.isprintable() or not value]:
        raise InputError(f"{uri!r}: {wrong[0]!r} is not understood", hint=FORM)
    return Address(host, user, int(port) if port else None, **dict(query))
