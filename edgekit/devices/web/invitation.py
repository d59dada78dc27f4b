"""What is said when the page is there to be opened: the link, as a QR code too, and what it goes without."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from edgekit.devices.web.certificate import fingerprint

if TYPE_CHECKING:
    from pathlib import Path

    from edgekit.devices.web.address import Address

INSECURE = (
    "plain http is no secure context for a browser on another device: no threads, no WebGPU, no camera, not offline "
    "there, and a clock of 0.1 ms; `?https=1` or `adb reverse` bring them"
)
LOCAL = (
    "only this machine reaches it; for an Android phone on a cable: adb reverse tcp:{port} tcp:{port}, then open it "
    "there; for any other device serve on an address that it reaches, --device 'web://ADDRESS:PORT?https=1'"
)
UNVOUCHED = (
    "the certificate is this run's own: the browser warns of it, and must show this SHA-256 of it; it keeps no page "
    "offline under such a certificate"
)


def invitation(link: str, address: Address, folder: Path) -> str:
    """Lines for a terminal."""
    lines = [f"open this link in the browser to be measured:\n\n  {link}\n"]
    if code := qr_code(link):
        lines.append(code)
    if address.loopback:
        lines.append(LOCAL.format(port=link.rsplit(":", 1)[1].partition("/")[0]))
    if address.https:
        lines.append(f"{UNVOUCHED}:\n  {fingerprint(folder)}")
    elif not address.loopback:
        lines.append(INSECURE)
    lines.append("keep the page in front while it measures")
    return "\n".join(lines)


def qr_code(text: str) -> str:
    """A QR code in block characters; empty where its library is not installed."""
    try:
        import segno
    except ModuleNotFoundError:
        return ""
    stream = io.StringIO()
    segno.make(text, micro=False, error="l").terminal(out=stream, compact=True, border=2)
    return stream.getvalue()
