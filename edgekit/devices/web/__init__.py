"""Browsers: a phone's or a laptop's opens a page that edgekit serves, and the page runs the file there.

`edgekit profile` shows the link; the page answers the jobs that every device answers.
"""

from __future__ import annotations

from edgekit.devices.web.address import read_address
from edgekit.devices.web.device import Web
from edgekit.devices.web.runtimes import check_installed

SCHEME = "web"


def open_uri(uri: str) -> Web:
    """`web` or `web://HOST:PORT`; raises `InputError` for a URI that is none, `MissingError` without the runtimes."""
    address = read_address(uri)
    check_installed()
    return Web(address)
