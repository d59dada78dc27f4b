"""A network as a list of plain operators in JSON, and its weights: what another framework builds without torch.

Tensors are PyTorch's, (N, C, H, W), and N is any number. An operator is `{"name", "op", "inputs", "options", "weights",
"shape"}`: `weights` are a layer's tensors by their role → their name among all weights; `shape` is without N.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from torch import fx

from edgekit.errors import InputError
from edgekit.graph.trace import CHECKS, arguments, operator_name, parameter_of, shape_of

Array = np.ndarray[Any, Any]
Operator = dict[str, Any]
Options = dict[str, Any]

Call = Callable[["Describer", fx.Node], None]

_SAME = (
    "dropout",
    "feature_dropout",
    "alpha_dropout",
    "detach",
    "alias",
    "clone",
    "contiguous",
    "to",
    "_to_copy",
)


@dataclass(frozen=True)
class Description:
    """The operators in order, the input first and the output last, and every tensor that they hold."""

    operators: tuple[Operator, ...]
    weights: Mapping[str, Array]


@dataclass
class Describer:
    """Collects a graph's operators and weights."""

    graph: fx.GraphModule
    calls: Mapping[str, Call]
    """ATen's operators → what describes one of their calls."""
    operators: list[Operator] = field(default_factory=list)
    weights: dict[str, Array] = field(default_factory=dict)
    names: dict[fx.Node, str] = field(default_factory=dict)
    """Node → the operator that computes it: one before it, where it changes nothing."""
    output: str = ""

    def run(self) -> Description:
        """Describe every call."""
        for node in self.graph.graph.nodes:
            if node.op == "placeholder":
                self.add(node, "input", [], {})
            elif node.op == "output":
                (result,) = node.all_input_nodes
                self.output = self.names[result]
            elif node.op == "call_function" and operator_name(node) not in CHECKS:
                self._call(node)
        given = next(operator for operator in self.operators if operator["name"] == self.output)
        if given is not self.operators[-1]:  # a reader takes the last for the output
            last = {"name": "output", "op": "same", "inputs": [self.output], "options": {}, "weights": {}}
            self.operators.append({**last, "shape": given["shape"]})
        return Description(tuple(self.operators), self.weights)

    def _call(self, node: fx.Node) -> None:
        name = operator_name(node)
        if name in _SAME:
            self.names[node] = self.of(node.args[0])
        elif name in ("chunk", "split", "split_with_sizes"):
            return  # its parts are slices
        elif name == "getitem":
            self._part(node)
        elif name in self.calls:
            self.calls[name](self, node)
        else:
            raise unknown(node, "has no counterpart in Keras")

    def add(
        self, node: fx.Node, op: str, inputs: Sequence[str], options: Options, **tensors: fx.Node | None
    ) -> None:
        """One operator; `tensors` are the nodes that read its weights."""
        weights = {role: self._tensor(read) for role, read in tensors.items() if read is not None}
        name = f"op{node.name}" if node.name.startswith("_") else node.name  # TensorFlow takes none of these
        self.operators.append(
            {
                "name": name,
                "op": op,
                "inputs": list(inputs),
                "options": options,
                "weights": weights,
                "shape": list(shape_of(node)[1:]),
            }
        )
        self.names[node] = name

    def of(self, node: Any) -> str:
        """The operator that computes an argument."""
        if node not in self.names:
            raise unknown(node, "is held by the network, and stands where only a computed tensor can")
        return self.names[node]

    def _tensor(self, read: fx.Node) -> str:
        name = parameter_of(read)
        if name is None:
            raise unknown(read, "computes weights, which cannot be handed over")
        owner, _, leaf = name.rpartition(".")
        value = getattr(self.graph.get_submodule(owner), leaf)
        self.weights[name] = value.detach().cpu().numpy()
        return name

    def _part(self, node: fx.Node) -> None:
        source, place = node.args
        assert isinstance(source, fx.Node)
        assert isinstance(place, int)
        axis = arguments(source).get("dim", 0) % len(shape_of(source))
        start = sum(int(part.shape[axis]) for part in source.meta["val"][:place])
        end = start + shape_of(node)[axis]
        self.add(node, "slice", [self.of(source.args[0])], {"axis": axis, "start": start, "end": end})


def unknown(node: fx.Node, why: str) -> InputError:
    """The error for a call that has no description."""
    stack = list((node.meta.get("nn_module_stack") or {}).values())
    where = f" of {stack[-1][0]}" if stack and stack[-1][0] else ""
    return InputError(
        f"{operator_name(node)}{where} {why}", hint="choose a recipe without tfmot for this network"
    )
