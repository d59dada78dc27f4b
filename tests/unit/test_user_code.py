"""Whose line an error is told of: the user's, wherever pip has put the libraries."""

from __future__ import annotations

import sysconfig
from pathlib import Path

import pytest
import torch

from edgekit import user_code
from edgekit.user_code import installed_package, is_library, user_line


@pytest.mark.parametrize(
    ("path", "package", "library"),
    [
        ("/home/me/.local/lib/python3.12/site-packages/torch/nn/modules/conv.py", "torch", True),
        ("/usr/lib/python3/dist-packages/numpy/__init__.py", "numpy", True),
        ("/home/me/.local/lib/python3.12/site-packages/mine/net.py", "mine", False),
        ("/home/me/.local/lib/python3.12/site-packages/mine.py", "mine.py", False),
        ("/home/me/net.py", "", False),
        (torch.__file__, "torch", True),
        (user_code.__file__, "", True),
        (f"{sysconfig.get_path('stdlib')}/json/decoder.py", "", True),
        ("<frozen importlib._bootstrap>", "", True),
    ],
)
def test_what_is_a_library(path: str, package: str, library: bool) -> None:
    assert (installed_package(path), is_library(path)) == (package, library)


def test_the_users_line_is_found_below_a_users_own_torch(tmp_path: Path) -> None:
    """As where torch was installed with `pip install --user`, beside other packages of the environment."""
    conv = tmp_path / "site-packages" / "torch" / "conv.py"
    network = tmp_path / "net.py"
    conv.parent.mkdir(parents=True)
    conv.write_text("def run(): raise ValueError('size')")
    network.write_text("def forward(run): run()")
    names: dict[str, dict[str, object]] = {"torch": {}, "own": {}}
    for (own, names_of), path in zip(names.items(), (conv, network), strict=True):
        exec(compile(path.read_text(), str(path), "exec"), names_of)
        assert own
    with pytest.raises(ValueError, match="size") as raised:
        names["own"]["forward"](names["torch"]["run"])  # type: ignore[operator]
    own_frames = raised.value.with_traceback(raised.value.__traceback__.tb_next)  # type: ignore[union-attr]
    assert user_line(own_frames) == f"{network}:1, in forward: def forward(run): run()"
