"""Whether an INT8 file meets its runtime's rules: one checker a runtime, which reads the file and names each breach.

A checker's module holds `TITLE` and `breaches(path, rules) -> list[str]`; it runs nothing and needs no torch.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

from edgekit.errors import InputError

if TYPE_CHECKING:
    from pathlib import Path
    from types import ModuleType

    from edgekit.model import Model
    from edgekit.target import FileRules, Target

_CHECKERS = {
    "tensorrt": "edgekit.exporters.tensorrt_rules",
    "openvino": "edgekit.exporters.openvino_rules",
    "litert": "edgekit.exporters.litert_rules",
    "onnxruntime": "edgekit.exporters.onnxruntime_rules",
}
_TOLD = 3


def breaches(path: Path, rules: FileRules) -> list[str]:
    """Every rule of the runtime that a file breaks, with the operator that breaks it.

    Raises `MissingError` without the package that reads it.
    """
    found: list[str] = _checker(rules).breaches(path, rules)
    floats = tuple(
        f"{layer}{end}" for layer in rules.float_layers for end in (":", "/")
    )  # X/WithoutBiases in an IR
    return [line for line in found if not line.startswith(floats)] if floats else found


def rules_of(model: Model, target: Target) -> FileRules | None:
    """What a model's file must hold to on a target; None of a float model."""
    from edgekit.quantizer.mixed import float_layers

    if model.quantization is None:
        return None
    return target.file_rules.model_copy(update={"float_layers": float_layers(model)})


def title(rules: FileRules) -> str:
    """Whose rules they are, for a reader."""
    told: str = _checker(rules).TITLE
    return told


def refuse_broken(path: Path, rules: FileRules) -> None:
    """Raise `InputError` that names the first breaches, where a file that was just written has some."""
    if broken := breaches(path, rules):
        more = f"; and {len(broken) - _TOLD} more" if len(broken) > _TOLD else ""
        raise InputError(
            f"the INT8 file breaks the rules of {title(rules)}: {'; '.join(broken[:_TOLD])}{more}",
            hint="rewrite that layer with others, or choose a target with another runtime",
        )


def _checker(rules: FileRules) -> ModuleType:
    return importlib.import_module(_CHECKERS[rules.runtime])
