"""Where latencies are measured, in which runtime, and whether that is the target."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from edgekit import runtimes
from edgekit.devices import HERE, Device, answering, open_device
from edgekit.progress import Progress
from edgekit.target import Target


@dataclass(frozen=True)
class Place:
    """A device, and the runtime that opens a target's files on it."""

    device: Device
    runtime: str
    on_target: bool
    """Latency is the target's: its own runtime, on a device that was named or on this machine where that is it."""

    @property
    def source(self) -> Literal["measured", "proxy"]:
        """How a profile taken here is called."""
        return "measured" if self.on_target else "proxy"


def place_of(target: Target, uri: str) -> Place:
    """Where a target's files run: the device at `uri`, in the target's own runtime where edgekit drives it there."""
    device = open_device(uri)
    if uri == HERE:
        return Place(device, target.runtime_here, target.is_host)
    own = target.driven and target.runtime in runtimes.runtimes()
    return Place(device, target.runtime if own else target.proxy_runtime, own)


def proxy_of(target: Target) -> Place:
    """This machine, with the runtime that opens a target's files wherever edgekit runs."""
    own = target.is_host and target.proxy_runtime == target.runtime
    return Place(open_device(HERE), target.proxy_runtime, own)


def answers_on(uri: str, progress: Progress) -> Device:
    """Where a file's outputs are computed, which is told where it is not the device that was named."""
    named = open_device(uri)
    where = answering(named)
    if where is not named:
        progress.say(f"{named.name} gives no outputs: they are computed on {where.name}")
    return where


def int8_options(target: Target, runtime: str) -> dict[str, str]:
    """The options of INT8 files in a runtime: those in the target's file are its proxy's."""
    return dict(target.proxy_options) if runtime == target.proxy_runtime else {}
