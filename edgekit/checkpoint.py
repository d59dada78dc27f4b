"""A `Model` on disk: safetensors and a readable structure.json; no pickle, and no code but by its name."""

from __future__ import annotations

from pathlib import Path

import torch
from pydantic import Field, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import Tensor, nn

from edgekit import files
from edgekit.errors import InputError
from edgekit.frozen import Frozen
from edgekit.graph.refit import refit, set_tensor, tie
from edgekit.graph.trace import first_names
from edgekit.model import Encoding, Event, Model, Preprocessing, Quantization, Source, Task
from edgekit.zoo import build
from edgekit.zoo.program import SUFFIX, keep_program, kept_program

STRUCTURE = "structure.json"
WEIGHTS = "weights.safetensors"
PROGRAM = f"program{SUFFIX}"
"""Where the network came as a `.pt2` file, that one; where its graph took its place, the graph."""


class Structure(Frozen):
    """All of a `Model` but its weights; the widths of a pruned network are those of its tensors."""

    name: str
    source: Source
    input_shape: tuple[int, int, int, int]
    task: Task
    preprocessing: Preprocessing
    labels: tuple[str, ...]
    sparsity: dict[str, str]
    survivors: dict[str, str] = Field(default_factory=dict)
    quantization: Quantization | None
    lineage: tuple[Event, ...]
    encoding: Encoding = "dense"


def save_model(model: Model, folder: Path) -> None:
    """Write a model into a folder; the same model gives the same bytes.

    A tensor that the network holds under several names is written under the first.
    """
    tensors = {name: value.detach().cpu().clone().contiguous() for name, value in _own(model.module).items()}
    files.write_bytes(folder / WEIGHTS, save(tensors))
    structure = Structure(
        name=model.name,
        source=model.source,
        input_shape=model.input_shape,
        task=model.task,
        preprocessing=model.preprocessing,
        labels=model.labels,
        sparsity=dict(model.sparsity),
        survivors=dict(model.survivors),
        quantization=model.quantization,
        lineage=model.lineage,
        encoding=model.encoding,
    )
    files.write_json(folder / STRUCTURE, structure.model_dump(mode="json"))
    if model.source.program is not None:
        files.write_bytes(folder / PROGRAM, kept_program(model.source.program).read_bytes())


def load_model(folder: Path) -> Model:
    """Rebuild the network of a checkpoint folder as a plain `nn.Module` with its weights, in eval mode.

    Raises `InputError` where the folder holds no checkpoint, its tensors do not fit the architecture, or that
    is code of the user's which was not named in this process.
    """
    try:
        structure = Structure.model_validate_json((folder / STRUCTURE).read_text(encoding="utf-8"))
        tensors = load_file(folder / WEIGHTS)
    except OSError as error:
        raise InputError(f"{folder} holds no checkpoint ({STRUCTURE} and {WEIGHTS})") from error
    except (ValidationError, UnicodeDecodeError, SafetensorError) as error:
        raise InputError(f"the checkpoint {folder} is damaged or not edgekit's: {error}") from error
    if structure.source.program is not None and keep_program(folder / PROGRAM) != structure.source.program:
        raise InputError(f"{folder / PROGRAM} is not the file that the run was made with")
    module = build(structure.source)
    own, names = _own(module), first_names(module)
    if own.keys() != tensors.keys():
        odd = sorted(own.keys() ^ tensors.keys())[:5]
        raise InputError(f"{folder / WEIGHTS} does not fit {structure.source.name}: {', '.join(odd)}")
    with torch.no_grad():
        for name, tensor in tensors.items():
            set_tensor(module, name, tensor.clone())  # not the file, mapped into memory
    tie(module, names)
    refit(module)
    return Model(module=module.eval(), **{name: getattr(structure, name) for name in Structure.model_fields})


def _own(module: nn.Module) -> dict[str, Tensor]:
    """What a network's state is, each tensor once."""
    first, state = first_names(module), module.state_dict()
    return {name: value for name, value in state.items() if first[name] == name or first[name] not in state}
