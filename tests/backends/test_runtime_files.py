"""The files that are handed to a device must stand alone there."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

from edgekit import runtimes
from edgekit.devices import runner, state
from edgekit.errors import InputError

PUSHED = [
    *(found.file for found in runtimes.runtimes().values()),
    Path(runner.__file__),
    Path(state.__file__),
]


def imports(node: ast.AST) -> list[str]:
    """Packages that a file imports as it is loaded: not those in functions, nor those for type checkers."""
    found = []
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            found += [alias.name.split(".")[0] for alias in child.names]
        elif isinstance(child, ast.ImportFrom):
            found.append((child.module or ".").split(".")[0])
        elif not (isinstance(child, ast.FunctionDef) or ast.unparse(child).startswith("if TYPE_CHECKING")):
            found += imports(child)
    return found


@pytest.mark.parametrize("path", PUSHED, ids=lambda path: path.stem)
def test_it_needs_the_standard_library_and_numpy_alone(path: Path) -> None:
    loaded = set(imports(ast.parse(path.read_text(encoding="utf-8"))))
    assert "__future__" in loaded, "the check itself sees imports"
    assert loaded <= sys.stdlib_module_names | {"numpy"}


def test_runtimes_are_found_by_their_files() -> None:
    found = runtimes.runtimes()
    assert {name: one.file.name for name, one in found.items()} == {
        "litert": "litert_cpu.py",
        "onnxruntime": "onnxruntime_cpu.py",
        "openvino": "openvino_cpu.py",
        "tensorrt": "tensorrt_trtexec.py",
    }
    assert {name: one.mend() for name, one in found.items() if one.distribution} == {
        "litert": "pip install 'edgekit[litert]'",
        "onnxruntime": "pip install 'edgekit[onnx]'",
        "openvino": "pip install 'edgekit[openvino]'",
    }
    assert "apt-get install tensorrt" in found["tensorrt"].mend()


def test_an_unknown_runtime_is_refused_with_the_near_one() -> None:
    with pytest.raises(InputError, match="unknown runtime 'onnxruntim'") as refusal:
        runtimes.find("onnxruntim")
    assert "onnxruntime" in refusal.value.hint
