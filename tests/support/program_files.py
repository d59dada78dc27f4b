"""`.pt2` files with their members edited, as an attacker would."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from edgekit.zoo.program_file import GRAPH

Graph = dict[str, Any]


def rewritten(path: Path, to: Path, change: Callable[[dict[str, bytes]], None]) -> Path:
    """A copy of the archive whose members `change` has edited."""
    with zipfile.ZipFile(path) as archive:
        members = {name.partition("/")[2]: archive.read(name) for name in archive.namelist()}
    change(members)
    with zipfile.ZipFile(to, "w") as archive:
        for name, content in members.items():
            archive.writestr(f"net/{name}", content)
    return to


def with_graph(path: Path, to: Path, change: Callable[[Graph], object]) -> Path:
    def edit(members: dict[str, bytes]) -> None:
        graph = json.loads(members[GRAPH])
        change(graph)
        members[GRAPH] = json.dumps(graph).encode()

    return rewritten(path, to, edit)
