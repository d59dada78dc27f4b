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

_ORIGINALS: WeakKeyDictionary[nn.Module, nn.Module] = WeakKeyDictionary()


def exported_as(module: nn.Module, original: nn.Module) -> None:
    """Say that a module is a copy with other values: it is not exported again, which takes seconds."""
    _ORIGINALS[module] = _ORIGINALS.get(original, original)


def program_of(model: Model, *, any_batch: bool) -> fx.GraphModule:
    """A graph of its own, on the model's own tensors: for `input_shape`, or for any N with `any_batch`.

    Raises `InputError` where `torch.export` cannot follow the network.
    """
    if not any_batch:
        return _exported(model.module, model.name, model.input_shape, any_batch=False)
    original = _ORIGINALS.get(model.module, model.module)
    program = _for_any_batch(original, model.name, model.input_shape)
    with quiet_torch():
        graph = copy.deepcopy(program)
    values = tensors_of(model.module)
    for node in graph.graph.find_nodes(op="get_attr"):
        # In their places, for files list weights in order; a constant of the network's code is none of them.
        if (value := values.get(node.target)) is not None:
            owner, _, leaf = str(node.target).rpartition(".")
            setattr(graph.get_submodule(owner), leaf, value)
    return graph


def tensors_of(module: nn.Module) -> dict[str, torch.Tensor]:
    """Parameters and buffers by all of their names."""
    parameters = module.named_parameters(remove_duplicate=False)
    return {**dict(parameters), **dict(module.named_buffers(remove_duplicate=False))}


def zeros_for(module: nn.Module, shape: tuple[int, ...]) -> torch.Tensor:
    """An input of that shape, where the network's parameters are."""
    return torch.zeros(shape, device=device_of(module))


def device_of(module: nn.Module) -> torch.device:
    """Where the network's parameters are."""
    return next((parameter.device for parameter in module.parameters()), torch.device("cpu"))


@lru_cache(maxsize=4)  # by the module: a model that has got scales since is another model
def _for_any_batch(module: nn.Module, name: str, input_shape: tuple[int, ...]) -> fx.GraphModule:
    return _exported(module, name, input_shape, any_batch=True)


def _exported(
    module: nn.Module, name: str, input_shape: tuple[int, ...], *, any_batch: bool
) -> fx.GraphModule:
    example = zeros_for(module, (2, *input_shape[1:]) if any_batch else input_shape)
    batch = ({0: torch.export.Dim("batch")},) if any_batch else None
    try:
        with quiet_torch(), unprinted(), torch.no_grad():
            program = torch.export.export(module.eval(), (example,), dynamic_shapes=batch)
            graph = program.run_decompositions({}).module(check_guards=False)
    except Exception as error:  # torch.export runs the user's own code
        what = "for any batch size" if any_batch else f"for {input_shape}"
        raise InputError(
            f"{name}: torch.export cannot follow the network {what}: {described(error)}",
            hint="no branches on values, no .numpy(); sizes taken from x.shape",
        ) from error
    assert isinstance(graph, fx.GraphModule)
    return graph
