"""A network of the user's own: `package.module:factory`, found and called."""

from __future__ import annotations

import ast
import importlib
import inspect
import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from edgekit import files
from edgekit.errors import InputError, unknown
from edgekit.user_code import described, installed_package, is_library

if TYPE_CHECKING:
    from torch import nn

FORM = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")


@dataclass(frozen=True)
class Factory:
    """A callable of the user's that makes a network, and the modules that it is written in."""

    name: str
    make: Callable[..., object]
    modules: Mapping[str, Path]

    @property
    def code_sha256(self) -> dict[str, str]:
        """Module → the hash of its file: another text is another network, whatever its name."""
        return {name: files.sha256(path) for name, path in sorted(self.modules.items())}

    def takes(self, argument: str) -> bool:
        """Whether the signature names that argument."""
        return argument in _parameters(self.make)


_FACTORIES: dict[str, Factory] = {}
"""Those that the user named in this process; a checkpoint may call no others."""


def parse_arguments(words: Sequence[str]) -> dict[str, Any]:
    """`key=value` words as keyword arguments; values are Python literals where they read as such, else text.

    Tuples become lists, as they will be when a checkpoint is read. Raises `InputError` for a word of another
    form, a key given twice, and a literal that JSON cannot hold.
    """
    arguments: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        if not equals or not key.isidentifier():
            raise InputError(
                f"--factory-arg {word} is not KEY=VALUE", hint="for example --factory-arg depth=3"
            )
        if key in arguments:
            raise InputError(f"--factory-arg {key} is given twice")
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            value = text
        try:
            arguments[key] = json.loads(json.dumps(value, allow_nan=False))
        except (TypeError, ValueError) as error:
            raise InputError(
                f"--factory-arg {word}: a {type(value).__name__} cannot be written into a checkpoint",
                hint="numbers, texts, True, False, None, lists, and dictionaries with texts as keys can",
            ) from error
    return arguments


def find_factory(name: str) -> Factory:
    """Import the module of `package.module:factory`, from the current folder too, and take the factory.

    Raises `InputError` where the module is missing or fails (with the line of it), and where it has no such
    callable (with the near names).
    """
    path, _, attribute = name.partition(":")
    module = _imported(path)
    found: object = module
    for part in attribute.split("."):
        if not hasattr(found, part):
            offered = [key for key, value in vars(module).items() if callable(value) and key[0] != "_"]
            raise unknown("factory", name, [f"{path}:{key}" for key in offered] or [f"{path} defines none"])
        found = getattr(found, part)
    if not callable(found):
        raise InputError(f"{name} is a {type(found).__name__}, no factory", hint="name a function or a class")
    _FACTORIES[name] = Factory(name, found, _written_in(module, found))
    return _FACTORIES[name]


def call_factory(name: str, arguments: Mapping[str, Any], standard: Mapping[str, int]) -> nn.Module:
    """The network that a factory gives for `arguments`, and for those of `standard` that it takes.

    Raises `InputError` for one that was not named in this process, arguments that it does not take, an error
    of its own (with the line of the user's code), and a result that is no `nn.Module`.
    """
    from torch import nn

    factory = _FACTORIES.get(name)
    if factory is None:
        raise InputError(
            f"rebuilding this network calls {name}, code that was not named here",
            hint=f"if you trust it: edgekit.load(FOLDER, factory={name!r}), or --factory {name}",
        )
    given = {key: value for key, value in standard.items() if factory.takes(key)} | dict(arguments)
    _check_arguments(factory, given)
    try:
        with _current_folder_importable():
            network = factory.make(**given)
    except (Exception, SystemExit) as error:  # whatever a user's own code raises
        raise InputError(f"{name} failed: {described(error)}") from error
    if not isinstance(network, nn.Module):
        raise InputError(
            f"{name} gave {_kind(network)}, no torch.nn.Module", hint="return the network, untrained"
        )
    return network


def _imported(path: str) -> ModuleType:
    try:
        with _current_folder_importable():
            return importlib.import_module(path)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{path}.".startswith(f"{error.name}."):
            raise InputError(f"{path} cannot be imported: {described(error)}") from error
        here = [entry.stem for entry in Path.cwd().iterdir() if entry.suffix == ".py" or entry.is_dir()]
        hint = "it must lie in the current folder, be installed, or be on the PYTHONPATH"
        raise unknown("module", error.name, here or [path], hint=f"({hint})") from error
    except (Exception, SystemExit) as error:  # whatever a user's own code raises
        raise InputError(f"{path} cannot be imported: {described(error)}") from error


@contextmanager
def _current_folder_importable() -> Iterator[None]:
    """First on the path, as `python -m` has it; not for longer: `onnx.py` there must not hide a package."""
    here = str(Path.cwd())
    sys.path.insert(0, here)
    importlib.invalidate_caches()
    try:
        yield
    finally:
        sys.path.remove(here)


def _parameters(make: Callable[..., object]) -> Mapping[str, inspect.Parameter]:
    try:
        parameters = inspect.signature(make).parameters
    except (TypeError, ValueError):  # code that is not Python's does not tell
        return {}
    by_position = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.POSITIONAL_ONLY)
    return {key: value for key, value in parameters.items() if value.kind not in by_position}


def _check_arguments(factory: Factory, given: Mapping[str, Any]) -> None:
    parameters = _parameters(factory.make)
    anything = any(value.kind is inspect.Parameter.VAR_KEYWORD for value in parameters.values())
    for key in given:
        if key not in parameters and not anything:
            raise unknown("argument", key, parameters or ["none"], hint=f"(of {factory.name})")
    missing = [
        key
        for key, value in parameters.items()
        if value.default is value.empty and value.kind is not value.VAR_KEYWORD and key not in given
    ]
    if missing:
        options = " ".join(f"--factory-arg {key}=..." for key in missing)
        raise InputError(f"{factory.name} needs {' and '.join(missing)}", hint=f"give {options}")


def _written_in(module: ModuleType, found: Callable[..., object]) -> dict[str, Path]:
    """All imported modules beside which the factory's own lies, or of the same installed package.

    The factory's own is also the one that it comes from where the module that was named only passes it on.
    """
    made_in = sys.modules.get(getattr(inspect.unwrap(found), "__module__", None) or "", module)
    modules = {name: path for name, known in list(sys.modules.items()) if (path := _file_of(known))}
    written: dict[str, Path] = {}
    for own in (module, made_in):
        path = _file_of(own)
        if path is None or (own is not module and is_library(str(path))):  # typed in; a `functools.partial`
            continue
        written[own.__name__] = path
        package = installed_package(str(path))
        depth = own.__name__.count(".") + hasattr(own, "__path__")
        root = path.parents[min(depth, len(path.parents) - 1)]
        written |= {
            name: file
            for name, file in modules.items()
            if name != "__main__"
            and file.is_relative_to(root)
            and not is_library(str(file))
            and installed_package(str(file)) == package
        }
    return written


def _file_of(module: object) -> Path | None:
    # Not by `getattr`: a module may make an attribute, and fail, when it is asked for one.
    name = getattr(module, "__dict__", {}).get("__file__")
    return Path(name) if isinstance(name, str) and Path(name).is_file() else None


def _kind(value: object) -> str:
    return f"the class {value.__name__}" if isinstance(value, type) else f"a {type(value).__name__}"
