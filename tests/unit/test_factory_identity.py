"""What a cached baseline is known by where the network is code of the user's own: all of that code."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from own_networks import NETWORKS, own_module

from edgekit.zoo import architecture


def test_the_identity_changes_with_the_text_and_the_arguments(tmp_path: Path) -> None:
    with own_module(tmp_path) as nets:
        name, path = f"{nets}:tiny", Path(f"{nets}.py")
        plain = architecture(name).identity
        assert architecture(name).identity == plain
        assert architecture(name, ["depth=2"]).identity != plain
        path.write_text(NETWORKS + "\n# another text\n")
        assert architecture(name).identity != plain


def test_the_identity_changes_with_what_the_factory_imports(tmp_path: Path) -> None:
    (tmp_path / "nets").mkdir()
    (tmp_path / "nets" / "sizes.py").write_text("WIDTH = 8")
    (tmp_path / "nets" / "__init__.py").write_text("from .own import tiny")
    (tmp_path / "unused.py").write_text("")
    installed = tmp_path / "venv" / "site-packages" / "other.py"
    installed.parent.mkdir(parents=True)
    installed.write_text("")
    text = "import sys; sys.path.append('venv/site-packages'); import other, nets.sizes, edgekit"
    (tmp_path / "nets" / "own.py").write_text(f"{text}\n{NETWORKS}")
    with own_module(tmp_path, "from nets import tiny") as name:
        plain = architecture(f"{name}:tiny").identity
        assert sorted(plain["code"]) == ["nets", "nets.own", "nets.sizes", name]  # type: ignore[index]
        assert architecture(f"{name}:tiny").identity == plain
        (tmp_path / "nets" / "sizes.py").write_text("WIDTH = 16")
        assert architecture(f"{name}:tiny").identity != plain
    for module in ("nets", "nets.own", "nets.sizes", "other"):
        del sys.modules[module]


def test_a_factory_of_an_installed_package_is_that_packages(tmp_path: Path) -> None:
    folder = tmp_path / "site-packages"
    (folder / "bought").mkdir(parents=True)
    (folder / "bought" / "__init__.py").write_text("import beside_bought")
    (folder / "bought" / "nets.py").write_text(NETWORKS)
    (folder / "beside_bought.py").write_text("")
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(folder)
        code = architecture("bought.nets:tiny").identity["code"]  # type: ignore[index]
    assert sorted(code) == ["bought", "bought.nets"]
    for module in ("bought", "bought.nets", "beside_bought"):
        del sys.modules[module]
