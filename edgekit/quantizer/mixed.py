"""Operators that stay float in an INT8 network, and what each integer operator costs its outputs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import torch
from torch import fx

from edgekit.parity import sqnr_db
from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.graphs import operand
from edgekit.quantizer.placement import origin, place
from edgekit.quantizer.reference import decision_of
from edgekit.quantizer.simulate import rounded
from edgekit.quantizer.weights import rounded_in

if TYPE_CHECKING:
    from collections.abc import Collection

    from edgekit.model import ActivationScale, Model
    from edgekit.parity import Array


def with_floats(model: Model, operators: Collection[str]) -> Model:
    """The quantized network with these operators, by their names in the folded graph, left in float too.

    A layer that is used in several places goes back in all: files hold one weight of its name. Scales are those that it
    has; those of tensors that no integer operator reads or gives any more are gone. Raises `InputError` where the model
    is not quantized.
    """
    quantization, graph = decision_of(model), folded_graph(model)
    asked = {*quantization.float_operators, *operators}
    weighted = place(graph, quantization.rules).channel_axes
    weights = {operand(node, 1).target for node in weighted if node.name in asked}
    floats = asked | {node.name for node in weighted if operand(node, 1).target in weights}
    wanted = {node.name for node in place(graph, quantization.rules, floats).leaders}
    scales = {name: scale for name, scale in quantization.activations.items() if name in wanted}
    told = {"float_operators": tuple(sorted(floats)), "activations": scales}
    return replace(model, quantization=quantization.model_copy(update=told))


def integer_layers(model: Model) -> dict[str, str]:
    """Weighted operator that runs on integers → the layer that has its weight, by the network's own name.

    In the network's order. Raises `InputError` where the model is not quantized.
    """
    quantization, graph = decision_of(model), folded_graph(model)
    placement = place(graph, quantization.rules, quantization.float_operators)
    return {node.name: _layer(node) for node in placement.channel_axes}


def operator_before(model: Model, tensor: str) -> str | None:
    """The weighted operator on integers that a tensor, by its name in the folded graph, is computed from.

    The nearest one on the way back; None where there is none, or no such tensor. Raises `InputError` where the model is
    not quantized.
    """
    known = integer_layers(model)
    queue = [node for node in folded_graph(model).graph.nodes if node.name == tensor]
    for node in queue:
        if node.name in known:
            return str(node.name)
        queue.extend(parent for parent in node.all_input_nodes if parent not in queue)
    return None


def float_layers(model: Model) -> tuple[str, ...]:
    """The layers of weighted operators that were left in float; raises `InputError` where it is not quantized."""
    quantization = decision_of(model)
    if not quantization.float_operators:
        return ()
    weighted = place(folded_graph(model), quantization.rules).channel_axes
    return tuple(_layer(node) for node in weighted if node.name in quantization.float_operators)


def sensitivity(model: Model, images: Array) -> dict[str, float]:
    """Decibels (SQNR) of the network's outputs with one weighted operator alone in integers, by its name.

    `images` (n, C, H, W) float32. The operator's input and weight are rounded, all else is float: the lower, the more
    it costs. Raises `InputError` where the model is not quantized.
    """
    quantization, graph = decision_of(model), folded_graph(model, any_batch=True)
    placement = place(graph, quantization.rules, quantization.float_operators)
    inputs, found = torch.from_numpy(images), {}
    with torch.inference_mode():
        expected = _first(graph(inputs)).numpy()
        for node, axis in placement.channel_axes.items():
            weight = rounded_in(graph, node, axis, quantization.activations)
            grid = quantization.activations[origin(operand(node, 0)).name]
            alone = _Alone(graph, node, grid, weight).run(inputs)
            found[node.name] = sqnr_db(expected, _first(alone).numpy())
    return found


class _Alone(fx.Interpreter):
    """A float graph in which one operator computes with a rounded input and a rounded weight."""

    def __init__(
        self, graph: fx.GraphModule, node: fx.Node, grid: ActivationScale, weight: torch.Tensor
    ) -> None:
        super().__init__(graph)
        self.node, self.grid, self.weight = node, grid, weight

    def run_node(self, n: fx.Node) -> Any:
        """As usual, but for the one."""
        if n is not self.node:
            return super().run_node(n)
        args, kwargs = self.fetch_args_kwargs_from_env(n)
        return self.call_function(n.target, (rounded(args[0], self.grid), self.weight, *args[2:]), kwargs)


def _first(outputs: Any) -> torch.Tensor:
    found = outputs if isinstance(outputs, torch.Tensor) else outputs[0]
    assert isinstance(found, torch.Tensor)
    return found


def _layer(node: fx.Node) -> str:
    return str(operand(node, 1).target).removesuffix(".weight")
