"""Recipes and targets are TOML files: found by name or path, checked by pydantic, refused with file, place and key."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, TypeVar

from pydantic import BaseModel, ValidationError

from edgekit.errors import InputError, unknown

Kind = Literal["recipe", "target", "suite"]
Value = TypeVar("Value", bound=BaseModel)


def folder_of(kind: Kind) -> Path:
    """`recipes/` or `targets/`: inside the installed package, or beside it in a checkout."""
    package = Path(__file__).parent
    inside_wheel = package / f"{kind}s"
    return inside_wheel if inside_wheel.is_dir() else package.parent / f"{kind}s"


def read_named(schema: type[Value], kind: Kind, name_or_path: str, *, aliases: Mapping[str, str]) -> Value:
    """Read a file by its id, by an alias or by a path; raises `InputError`."""
    path = Path(name_or_path)
    if path.suffix != ".toml":
        known = {found.stem for found in folder_of(kind).glob("*.toml")}
        name = aliases.get(name_or_path, name_or_path)
        if name not in known:
            raise unknown(
                kind, name_or_path, known | set(aliases), hint=f"(or give the path of a {kind} file, *.toml)"
            )
        path = folder_of(kind) / f"{name}.toml"
    value = read_file(schema, kind, path)
    if getattr(value, "id", path.stem) != path.stem:
        raise InputError(
            f"{path}: id {getattr(value, 'id', '')!r} differs from the file's name",
            hint=f"write id = {path.stem!r}, or rename the file",
        )
    return value


def read_file(schema: type[Value], kind: Kind, path: Path) -> Value:
    """Read a file of that schema; raises `InputError` with file, place and key."""
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"cannot read the {kind} file {path}: {error.strerror}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InputError(f"{path} is not TOML: {error}") from error
    try:
        return schema.model_validate(content)
    except ValidationError as error:
        raise InputError(_explain(path, error, schema)) from error


def _explain(path: Path, error: ValidationError, schema: type[BaseModel]) -> str:
    lines = [f"{path} has {error.error_count()} wrong {'entry' if error.error_count() == 1 else 'entries'}"]
    for problem in error.errors(include_url=False):
        *place, last = problem["loc"] or ("",)
        where = ".".join(str(part) for part in (*place, last))
        text = f"  {where}: {problem['msg']}"
        if problem["type"] == "extra_forbidden":
            near = difflib.get_close_matches(str(last), _keys(schema), n=1)
            text = f"  {where}: no such key" + (f"; did you mean {near[0]}?" if near else "")
        elif not isinstance(problem["input"], dict | list):
            text += f" (it is {problem['input']!r})"
        lines.append(text)
    return "\n".join(lines)


def _keys(schema: type[BaseModel]) -> list[str]:
    """Every key that the schema knows, at any depth: what a misspelt one may have meant."""
    text = schema.model_json_schema()
    tables = [text, *text.get("$defs", {}).values()]
    return [key for table in tables for key in table.get("properties", {})]
