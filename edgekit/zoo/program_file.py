"""A `.pt2` file taken apart, vetted, and put together anew from what is only numbers and names.

`torch.export.load` unpickles example inputs, some weights and all custom objects, evaluates symbolic sizes as
Python (sympy's `sympify`), writes node names into source text that it executes, and calls any attribute of
`torch` that a node names. So nothing but a vetted copy is handed to it.
"""

from __future__ import annotations

import ast
import io
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

from edgekit.errors import InputError

GRAPH = "models/model.json"
WEIGHTS = "data/weights/"
CONSTANTS = "data/constants/"
EXAMPLE = "data/sample_inputs/model.pt"
_CONFIGS = (f"{WEIGHTS}model_weights_config.json", f"{CONSTANTS}model_constants_config.json")
_IGNORED = ("archive_format", "archive_version", "byteorder", ".data/", "extra/")
_ONE_TENSOR_IN = [1, {"type": "builtins.tuple", "context": "null", "children_spec": [
    {"type": "builtins.tuple", "context": "null", "children_spec": [
        {"type": None, "context": None, "children_spec": []}]},
    {"type": "builtins.dict", "context": "[]", "children_spec": []}]}]  # fmt: skip
_ONE_TENSOR_OUT = [1, {"type": None, "context": None, "children_spec": []}]
_INPUTS = {"user_input", "parameter", "buffer", "tensor_constant"}
_SIZES = {"Symbol", "Integer", "Add", "Mul", "Max", "Min", "FloorDiv", "Mod", "PythonMod"}
_ARITHMETIC = {f"_operator.{name}" for name in ("getitem", "add", "sub", "mul", "floordiv", "mod", "neg")}
_NAME = re.compile(r"\w+")
_TEXT = re.compile(r"[\w.+-]*")
_PATH = re.compile(r"[\w./+-]*")
_STRING = re.compile(r"[\w./,> +-]*")
_FORMS = {
    **dict.fromkeys(("name", "as_name"), _NAME),
    # Neither becomes code: torch writes these into quotes, in which only a quote or a backslash would end them.
    **dict.fromkeys(("parameter_name", "buffer_name", "tensor_constant_name"), _PATH),
    "as_string": _STRING,  # an argument, such as the equation of an einsum
}
"""What a text may be, by the key that it lies under; `_TEXT` elsewhere."""


@dataclass(frozen=True)
class VettedProgram:
    """An archive without pickles or code, and the one input that it takes."""

    archive: bytes
    input_shape: tuple[int, int, int]
    """(C, H, W)."""


def vet_program(path: Path) -> VettedProgram:
    """Read a file that `torch.export.save` wrote; nothing in it is unpickled or executed.

    Raises `InputError` for a file that is missing or damaged, an archive that holds pickled, custom or
    compiled objects, operators other than ATen's, symbolic sizes beyond arithmetic, a network that was
    exported in training mode, and one that takes or gives anything but one tensor.
    """
    members = _members(path)
    try:
        graph = json.loads(members[GRAPH])
        configs = {name: json.loads(members[name]) for name in _CONFIGS}
        payloads = [entry for config in configs.values() for entry in config["config"].values()]
        if any(entry["use_pickle"] or not _TENSOR.fullmatch(entry["path_name"]) for entry in payloads):
            _refuse(path, "it holds pickled or custom objects: it was not read")
        _vet_graph(path, graph)
        shape = _input_shape(path, graph["graph_module"])
        _vet_texts(path, [graph, *configs.values()])
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    plain = {name: json.dumps(config).encode() for name, config in configs.items()}
    plain |= {GRAPH: json.dumps(graph).encode(), EXAMPLE: b""}  # without example inputs nothing is unpickled
    return VettedProgram(_archive(members | plain), shape)


_TENSOR = re.compile(r"(weight|tensor)_\d+")


def _refuse(path: Path, reason: str, hint: str = "") -> NoReturn:
    away = "export the plain float network, torch.export.save(torch.export.export(model.eval(), (x,)), FILE)"
    raise InputError(f"{path} is refused: {reason}", hint=hint or away)


def _members(path: Path) -> dict[str, bytes]:
    """The members that count, without the folder that all lie in; another kind of member is refused."""
    if not path.is_file():
        raise InputError(f"{path} is {'no file' if path.exists() else 'missing'}")
    found: dict[str, bytes] = {}
    try:
        with zipfile.ZipFile(path) as archive:
            for entry in archive.infolist():
                name = entry.filename.partition("/")[2]
                if name == EXAMPLE or name.startswith(_IGNORED):
                    continue
                if name != GRAPH and name not in _CONFIGS and not _is_tensor(name):
                    _refuse(path, f"it holds {entry.filename}, which may be code: it was not read")
                if entry.compress_type != zipfile.ZIP_STORED or name in found:
                    _refuse(path, f"{entry.filename} is not stored as torch.export.save does")
                found[name] = archive.read(entry)
    except (OSError, zipfile.BadZipFile, NotImplementedError, RuntimeError) as error:
        raise InputError(f"{path} is no whole .pt2 file: {error}", hint="export it again") from error
    missing = [name for name in (GRAPH, *_CONFIGS) if name not in found]
    if missing:
        _refuse(path, f"it holds no {missing[0]}")
    return found


def _is_tensor(name: str) -> bool:
    folder = next((folder for folder in (WEIGHTS, CONSTANTS) if name.startswith(folder)), None)
    return folder is not None and bool(_TENSOR.fullmatch(name.removeprefix(folder)))


def _vet_graph(path: Path, document: dict[str, Any]) -> None:
    """Drop what torch would execute and no network needs; refuse what cannot be dropped."""
    module = document["graph_module"]
    graph = module["graph"]
    document["guards_code"] = []
    module["metadata"], module["treespec_namedtuple_fields"] = {}, {}
    for node in graph["nodes"]:
        node["metadata"] = {}
        if not _is_operator(node["target"]):
            _refuse(path, f"its graph calls {str(node['target'])[:80]!r}, no operator of ATen")
        modes = [entry["arg"] for entry in node["inputs"] if entry["name"] in ("train", "training")]
        if {"as_bool": True} in modes:
            _refuse(path, "it was exported in training mode")
    kinds = {kind for spec in module["signature"]["input_specs"] for kind in spec}
    changes = {kind for spec in module["signature"]["output_specs"] for kind in spec} - {"user_output"}
    if graph["custom_obj_values"] or not kinds <= _INPUTS:
        _refuse(path, "it takes objects other than tensors")
    if changes:
        _refuse(path, f"it changes its own state ({', '.join(sorted(map(str, changes)))})")
    root = module["module_call_graph"][0]
    signature = root["signature"]
    if root["fqn"] or json.loads(signature["in_spec"]) != _ONE_TENSOR_IN:
        _refuse(path, "it does not take one tensor alone")
    if json.loads(signature["out_spec"]) != _ONE_TENSOR_OUT:
        _refuse(path, "it does not give one tensor alone")
    signature |= {"in_spec": json.dumps(_ONE_TENSOR_IN), "out_spec": json.dumps(_ONE_TENSOR_OUT)}
    module["module_call_graph"] = [root]


def _is_operator(target: str) -> bool:
    import torch

    kind = re.fullmatch(r"torch\.ops\.aten\.(\w+)\.(\w+)", target)
    if kind is None or kind[1] == "from_file":  # which opens files
        return target in _ARITHMETIC
    return isinstance(getattr(getattr(torch.ops.aten, kind[1], None), kind[2], None), torch._ops.OpOverload)


def _input_shape(path: Path, module: Mapping[str, Any]) -> tuple[int, int, int]:
    (taken,) = [spec["user_input"] for spec in module["signature"]["input_specs"] if "user_input" in spec]
    sizes = module["graph"]["tensor_values"][taken["arg"]["as_tensor"]["name"]]["sizes"]
    fixed = [size.get("as_int") for size in sizes[1:]]
    if len(fixed) != 3 or not all(isinstance(size, int) and size > 0 for size in fixed):
        _refuse(path, "its input is not (N, C, H, W) with C, H and W fixed")
    return fixed[0], fixed[1], fixed[2]


def _vet_texts(path: Path, documents: list[Any]) -> None:
    """Texts become names in source code that torch executes: each must be a name, or plain arithmetic."""
    for key, text in _texts(documents, ""):
        if key in ("in_spec", "out_spec"):  # our own by now
            continue
        if not (_is_arithmetic(text) if key == "expr_str" else _FORMS.get(key, _TEXT).fullmatch(text)):
            _refuse(path, f"the text {text[:80]!r} in it is no name")


def _texts(value: Any, key: str) -> Iterator[tuple[str, str]]:
    """Every text below a value with the key that it lies under; keys themselves too."""
    if isinstance(value, str):
        yield key, value
    elif isinstance(value, Mapping):
        kind = "name" if key.endswith("_values") else "parameter_name" if key == "config" else ""
        for name, entry in value.items():
            yield kind, name
            yield from _texts(entry, name)
    elif isinstance(value, list):
        for entry in value:
            yield from _texts(entry, key)


def _is_arithmetic(text: str) -> bool:
    """Whether a symbolic size is calls of `_SIZES` on names and whole numbers, as torch writes them."""
    try:
        tree = ast.parse(text, mode="eval").body
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return False
    return bool(re.fullmatch(r"[\w ,()='-]+", text)) and _is_size(tree)


def _is_size(node: ast.expr) -> bool:
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
        return _is_size(node.operand)
    if isinstance(node, ast.Constant):
        return isinstance(node.value, int)
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name) or node.func.id not in _SIZES:
        return False
    if not all(
        isinstance(one.value, ast.Constant) and isinstance(one.value.value, bool) for one in node.keywords
    ):
        return False
    if node.func.id == "Symbol":
        name = node.args[0] if len(node.args) == 1 else None
        return isinstance(name, ast.Constant) and isinstance(name.value, str)
    return all(_is_size(argument) for argument in node.args)


def _archive(members: Mapping[str, bytes]) -> bytes:
    from torch.export.pt2_archive import PT2ArchiveWriter

    stream = io.BytesIO()
    with PT2ArchiveWriter(stream) as writer:
        for name, content in members.items():
            writer.write_bytes(name, content)
    return stream.getvalue()
