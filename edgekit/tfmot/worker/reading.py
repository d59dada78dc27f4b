"""A Keras network, of version 2 or 3, in a description's words and PyTorch's layouts."""

from __future__ import annotations

import re
from typing import Any

import numpy as np

from . import keras_layers
from .refused import Refused

Array = np.ndarray[Any, Any]
Operator = dict[str, Any]


class Reader:
    """Collects the operators that a network's outputs are computed by, and their weights by `operator.role`."""

    def __init__(self) -> None:
        self.operators: list[Operator] = []
        self.weights: dict[str, Array] = {}
        self.final = ""
        """The activation that was left out behind the last operator."""
        self._done: dict[Any, str] = {}

    def read(self, model: Any) -> None:
        """All of a network with one input, pictures (N, H, W, C), and one output."""
        inputs, outputs = list(model.inputs), list(model.outputs)
        if len(inputs) != 1 or len(outputs) != 1 or len(inputs[0].shape) != 4:
            raise Refused("the network must take pictures (N, H, W, C) alone and give one tensor")
        self._done[_key(inputs[0])] = self.add("input", "input", [])
        self._of(outputs[0])
        self.final = keras_layers.drop_final_activation(self.operators)

    def add(self, name: str, op: str, sources: list[str], weights: Any = None, **options: Any) -> str:
        """One operator under a name of its own; gives that name."""
        plain = re.sub(r"\W", "_", name)
        taken = {operator["name"] for operator in self.operators}
        own, count = plain, 1
        while own in taken:
            count += 1
            own = f"{plain}_{count}"
        roles = {role: f"{own}.{role}" for role, value in (weights or {}).items() if value is not None}
        self.weights |= {full: np.ascontiguousarray(weights[role]) for role, full in roles.items()}
        self.operators.append(
            {"name": own, "op": op, "inputs": sources, "options": options, "weights": roles}
        )
        return own

    def _of(self, tensor: Any) -> str:
        """The operator that computes a tensor of Keras's graph."""
        key = _key(tensor)
        if key not in self._done:
            layer, node = _made_by(tensor)
            if hasattr(layer, "layers"):
                self._inline(layer, node, tensor)
            else:
                inputs = [self._of(source) for source in _sources(node)]
                self._done[key] = keras_layers.describe(self, layer, inputs)
        return self._done[key]

    def _inline(self, model: Any, node: Any, tensor: Any) -> None:
        """A network within the network: its layers are taken as if they stood here."""
        outside = [self._of(source) for source in _sources(node)]
        for inside, name in zip(model.inputs, outside, strict=True):
            self._done[_key(inside)] = name
        place = _history(tensor)[2]
        self._done[_key(tensor)] = self._of(model.outputs[place])


def _history(tensor: Any) -> Any:
    history = getattr(tensor, "_keras_history", None)
    if history is None:
        raise Refused("the network is no graph of layers: write it with Sequential or the functional API")
    return history


def _key(tensor: Any) -> tuple[int, int, int]:
    layer, node, place = _history(tensor)
    return id(layer), int(node), int(place)


def _made_by(tensor: Any) -> tuple[Any, Any]:
    layer, node, _ = _history(tensor)
    return layer, layer._inbound_nodes[node]


def _sources(node: Any) -> list[Any]:
    """The tensors that a layer was called on: Keras 2 and 3 have other names for them."""
    found = node.keras_inputs if hasattr(node, "keras_inputs") else node.input_tensors
    return list(found)
