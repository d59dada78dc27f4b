"""A network as `torch.export` gives it in functional ATen: exported once, also for copies with other weights."""

from __future__ import annotations

import copy
from functools import lru_cache
from typing import TYPE_CHECKING
from weakref import WeakKeyDictionary

import torch
from torch import fx, nn

from edgekit.errors import InputError
from edgekit.graph.trace import unprinted
from edgekit.quantizer.quiet import quiet_torch
from edgekit.user_code import described

if TYPE_CHECKING:
    from edgekit.model import Model

_ORIGINALS: WeakKeyDictionary[nn.Module, Model] = WeakKeyDictionary()


def exported_as(module: nn.Module, model: Model) -> None:
    """Say that a module is a copy of the model's with other values: it is not exported again, which takes seconds."""
    _ORIGINALS[module] = model


def program_of(model: Model, *, any_batch: bool) -> fx.GraphModule:
    """A graph of its own, on the model's own tensors: for `input_shape`, or for any N with `any_batch`.

    Raises `InputError` where `torch.export` cannot follow the network.
    """
    if not any_batch:
        return _exported(model, any_batch=False)
    original = _ORIGINALS.get(model.module, model)
    program = _for_any_batch(original)
    with quiet_torch():
        graph = copy.deepcopy(program)
    values = tensors_of(model.module)
    for node in graph.graph.find_nodes(op="get_attr"):
        owner, _, leaf = str(node.target).rpartition(".")
        if node.target in values:  # a constant of the network's code is none of them
            setattr(
                graph.get_submodule(owner), leaf, values[node.target]
            )  # in its place: files list them in order
    return graph


def tensors_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by all of their names."""
    parameters = module.named_parameters(remove_duplicate=False)
    return {**dict(parameters), **dict(module.named_buffers(remove_duplicate=False))}


def zeros_like_input(model: Model, shape: tuple[int, ...]) -> torch.Tensor:
    """An input where the network's parameters are."""
    device = next((parameter.device for parameter in model.module.parameters()), torch.device("cpu"))
    return torch.zeros(shape, device=device)


@lru_cache(maxsize=4)
def _for_any_batch(model: Model) -> fx.GraphModule:
    return _exported(model, any_batch=True)


def _exported(model: Model, *, any_batch: bool) -> fx.GraphModule:
    module = model.module.eval()
    example = zeros_like_input(model, (2, *model.input_shape[1:]) if any_batch else model.input_shape)
    batch = ({0: torch.export.Dim("batch")},) if any_batch else None
    try:
        with quiet_torch(), unprinted(), torch.no_grad():
            program = torch.export.export(module, (example,), dynamic_shapes=batch)
            graph = program.run_decompositions({}).module(check_guards=False)
    except Exception as error:  # torch.export runs the user's own code
        what = "for any batch size" if any_batch else f"for {model.input_shape}"
        raise InputError(
            f"{model.name}: torch.export cannot follow the network {what}: {described(error)}",
            hint="no branches on values, no .numpy(); sizes taken from x.shape",
        ) from error
    assert isinstance(graph, fx.GraphModule)
    return graph
