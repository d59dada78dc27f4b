"""What the readers of all formats share: a `FileGraph` that grows operator by operator."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from edgekit.errors import InputError
from edgekit.graph.file_graph import FileGraph, Operation, Value

ACTIVATIONS = {
    "Relu": "relu",
    "Clip": "clamp",
    "Clamp": "clamp",
    "HardSwish": "hardswish",
    "HSwish": "hardswish",
    "HardSigmoid": "hardsigmoid",
    "HSigmoid": "hardsigmoid",
    "Sigmoid": "sigmoid",
    "Swish": "silu",
    "Gelu": "gelu",
    "LeakyRelu": "leaky_relu",
    "Elu": "elu",
    "Tanh": "tanh",
    "Erf": "erf",
    "Sqrt": "sqrt",
    "Exp": "exp",
    "Mish": "mish",
    "SoftPlus": "softplus",
    "Softplus": "softplus",
}
"""Operators of ONNX and of OpenVINO → ATen's."""
ARITHMETIC = {
    "Add": "add",
    "Sub": "sub",
    "Subtract": "sub",
    "Mul": "mul",
    "Multiply": "mul",
    "Div": "div",
    "Divide": "div",
    "Pow": "pow",
    "Power": "pow",
    "Max": "maximum",
    "Maximum": "maximum",
    "Min": "minimum",
    "Minimum": "minimum",
}
RESIZED = {
    "nearest": "upsample_nearest2d",
    "linear": "upsample_bilinear2d",
    "linear_onnx": "upsample_bilinear2d",
    "cubic": "upsample_bicubic2d",
}
"""How ONNX and OpenVINO resize → ATen's operator."""


@dataclass
class Steps:
    """The parts of a `FileGraph` while a file is read; `constants` are values that no operator computes in a run."""

    values: dict[str, Value] = field(default_factory=dict)
    parameters: set[str] = field(default_factory=set)
    constants: set[str] = field(default_factory=set)
    operations: list[Operation] = field(default_factory=list)
    maker: dict[str, str] = field(default_factory=dict)
    """Value → the operator that computes it."""

    def add(self, step: Operation) -> None:
        """The next operator; its values are known already."""
        self.operations.append(step)
        self.maker.update(dict.fromkeys(step.outputs, step.operator))

    def parameter(self, name: str, value: Value) -> str:
        """A constant that counts."""
        self.values[name] = value
        self.parameters.add(name)
        return name

    def arithmetic(
        self, operator: str, layer: str, inputs: Sequence[str], output: str, constants: dict[str, Value]
    ) -> None:
        """Two operands; a constant of several numbers is a parameter, and so is the bias behind a product."""
        moved = [name for name in inputs if name not in self.constants]
        held = [name for name in inputs if name in constants]
        sizes = {name: math.prod(constants[name].shape) for name in held}
        if operator == "add" and held and sizes[held[0]] == self._channels(moved[0]):
            operator = "bias"
        else:
            held = [name for name in held if sizes[name] > 1]  # a number alone is part of the operator
        for name in held:
            self.parameter(name, constants[name])
        self.add(Operation(operator, layer, (*moved, *held), (output,)))

    def product(
        self, layer: str, inputs: Sequence[str], output: str, constants: dict[str, Value], *, kind: str
    ) -> None:
        """A matrix product, its operands in the file's order; constants among them (and a bias) are parameters.

        Raises `InputError` for a constant of which nothing is known.
        """
        for name in inputs:
            if name in constants:
                self.parameter(name, constants[name])
            elif name in self.constants:
                raise uncounted(f"{kind} with computed weights", layer)
        self.add(Operation("matmul", layer, tuple(inputs), (output,)))

    def _channels(self, name: str) -> int:
        """Of a product's result; 0 of anything else."""
        maker, shape = self.maker.get(name, ""), self.values[name].shape
        if maker.startswith("conv"):
            return shape[1]
        return shape[-1] if maker in ("linear", "matmul") else 0

    def slices(
        self, layer: str, source: str, output: str, cuts: Iterable[tuple[int, int, int, int]], *, width: int
    ) -> None:
        """Slices along several axes, one after the other: (axis, start, step, size) each."""
        cuts = list(cuts)
        if not cuts:
            self.add(Operation("alias", layer, (source,), (output,)))
        for place, (axis, start, step, size) in enumerate(cuts):
            shape = list(self.values[source].shape)
            shape[axis] = size
            name = output if place == len(cuts) - 1 else f"{output}#{place}"
            self.values.setdefault(name, Value(tuple(shape), width))
            arguments = {"dim": axis, "start": start, "step": step}
            self.add(Operation("slice", layer, (source,), (name,), arguments))
            source = name

    def graph(self, inputs: Sequence[str], outputs: Sequence[str]) -> FileGraph:
        """All that was read."""
        return FileGraph(
            self.values, frozenset(self.parameters), tuple(inputs), tuple(outputs), tuple(self.operations)
        )


def cuts(
    before: Sequence[int],
    after: Sequence[int],
    axes: Sequence[int],
    starts: Sequence[int],
    steps: Sequence[int],
) -> list[tuple[int, int, int, int]]:
    """What `Steps.slices` takes, of two shapes and of axes and starts that may count from the end."""
    found = []
    for axis, start, step in zip(axes, starts, steps, strict=True):
        place = axis % len(before)
        first = max(start + before[place], 0) if start < 0 else start
        found.append((place, min(first, before[place]), step, after[place]))
    return found


def same_padding(dilation: Sequence[int], window: Sequence[int]) -> list[int]:
    """In front of each axis, where a convolution's result is to have its input's size."""
    return [step * (size - 1) // 2 for step, size in zip(dilation, window, strict=True)]


def padding(before: Sequence[int], after: Sequence[int]) -> list[int]:
    """Padding in front of and behind each axis, in ATen's order: the last axis first."""
    return [size for pair in zip(reversed(before), reversed(after), strict=True) for size in pair]


def uncounted(kind: str, layer: str) -> InputError:
    """An operator whose multiply-accumulates no reader knows: to leave them out would be a wrong count."""
    return InputError(
        f"cannot count {kind} ({layer}): edgekit does not know what it multiplies",
        hint="count the network that the file was made from",
    )
