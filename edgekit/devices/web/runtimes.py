"""The runtimes for browsers: files of npm packages that the lock file beside this one pins."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from edgekit.errors import InputError, MissingError

if TYPE_CHECKING:
    from collections.abc import Mapping

HERE = Path(__file__).parent
MODULES = HERE / "node_modules"
ORT, LITERT, LITERT_UTILS = "onnxruntime-web", "@litertjs/core", "@litertjs/wasm-utils"


@dataclass(frozen=True)
class Engine:
    """What opens a format in a browser."""

    name: str
    """The module of the page that drives it: `NAME.js`."""
    package: str
    files: Mapping[str, tuple[tuple[str, str], ...]]
    """By backend: name under `runtime/` → path in `node_modules`."""


def _ort(*names: str) -> tuple[tuple[str, str], ...]:
    return tuple((f"ort/{name}", f"{ORT}/dist/{name}") for name in names)


def _litert(build: str) -> tuple[tuple[str, str], ...]:
    names = (f"{build}.js", f"{build}.wasm")
    return tuple((f"litert/wasm/{name}", f"{LITERT}/wasm/{name}") for name in names)


ENGINES = {
    "onnxruntime": Engine(
        "ort",
        ORT,
        {
            "wasm": _ort("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm"),
            "webgpu": _ort(
                "ort.webgpu.min.mjs",
                "ort-wasm-simd-threaded.asyncify.mjs",
                "ort-wasm-simd-threaded.asyncify.wasm",
            ),
        },
    ),
    "litert": Engine(
        "litert",
        LITERT,
        {
            "wasm": (
                ("litert/index.js", f"{LITERT}/dist/index.js"),
                ("litert/wasm-utils.js", f"{LITERT_UTILS}/dist/index.js"),
                *_litert("litert_wasm_internal"),
                *_litert("litert_wasm_compat_internal"),
                *_litert("litert_wasm_threaded_internal"),
            )
        },
    ),
}
"""By the name of the runtime that opens the same files in Python."""


def engine_of(runtime: str) -> Engine:
    """The engine for a runtime's files; raises `InputError` where browsers have none."""
    if runtime not in ENGINES:
        raise InputError(
            f"{runtime} does not run in a browser",
            hint=f"what does: {', '.join(sorted(ENGINES))} (ONNX and .tflite files)",
        )
    return ENGINES[runtime]


def check_installed() -> None:
    """Raise `MissingError` with the command that brings them where they are missing or of other versions."""
    for package, wanted in _pinned().items():
        if (found := version(package)) != wanted:
            what = f"version {found} is installed" if found else "it is not installed"
            raise MissingError(
                f"a browser needs {package} {wanted}, and {what}",
                hint=f"npm ci --ignore-scripts --no-audit --no-fund --prefix {shlex.quote(str(HERE))}",
            )


def version(package: str) -> str:
    """Of an installed package; empty where there is none."""
    path = MODULES / package / "package.json"
    return str(json.loads(path.read_text(encoding="utf-8"))["version"]) if path.is_file() else ""


def runtime_files(engine: Engine, backend: str) -> dict[str, bytes | Path]:
    """What the page loads for a backend, by its path."""
    files: dict[str, bytes | Path] = {
        f"runtime/{name}": MODULES / path for name, path in engine.files[backend]
    }
    for name, path in files.items():
        if name == "runtime/litert/index.js" and isinstance(path, Path):
            # A worker knows no import map: the one bare name becomes a path.
            text = path.read_text(encoding="utf-8").replace(f'"{LITERT_UTILS}"', '"./wasm-utils.js"')
            files[name] = text.encode()
    return files


@cache
def _pinned() -> dict[str, str]:
    packages = json.loads((HERE / "package-lock.json").read_text(encoding="utf-8"))["packages"]
    return {name: packages[f"node_modules/{name}"]["version"] for name in (ORT, LITERT, LITERT_UTILS)}
