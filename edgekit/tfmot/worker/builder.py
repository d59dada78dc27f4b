"""A Keras network that grows by a description's operators, with the layout of every tensor."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from . import layout
from .described import Description
from .keras import keras
from .layout import CHANNELS_LAST, Layout
from .operators import Operator

Tensor = Any
Laid = tuple[Tensor, Layout]
"""A tensor, and in which order PyTorch's axes lie in it."""


class Builder:
    """The tensors so far, by the operators' names."""

    def __init__(self, batch: int | None) -> None:
        self.batch = batch
        self.values: dict[str, Laid] = {}
        self.shapes: dict[str, list[int]] = {}
        self.kinds: dict[str, str] = {}

    def run(self, description: Description, made: Mapping[str, Callable[..., Laid]]) -> Any:
        """The network of a description; `made`: operator → the function that makes it."""
        inputs = []
        for operator in description:
            name, shape = operator["name"], operator["shape"]
            self.shapes[name], self.kinds[name] = shape, operator["op"]
            if operator["op"] == "input":
                channels, height, width = shape
                value = keras.Input((height, width, channels), batch_size=self.batch, name=name)
                inputs.append(value)
                self.values[name] = value, CHANNELS_LAST
            else:
                self.values[name] = made[operator["op"]](self, operator)
        last = description[-1]["name"]
        return keras.Model(inputs, self.usual(last, f"{last}.out"))

    def usual(self, source: str, name: str) -> Tensor:
        """A tensor in Keras's layout, brought there by a layer of that name where it has another."""
        value, now = self.values[source]
        return brought(value, now, layout.usual(len(now)), name)

    def alike(self, operator: dict[str, Any]) -> tuple[list[Tensor], Layout]:
        """An operator's inputs in one layout."""
        name, sources = operator["name"], operator["inputs"]
        _, wanted = self.values[sources[0]]
        values = [
            brought(*self.values[source], wanted, f"{name}.in{place}") for place, source in enumerate(sources)
        ]
        return values, wanted


def brought(value: Tensor, now: Layout, wanted: Layout, name: str) -> Tensor:
    """A tensor in another layout."""
    if now == wanted:
        return value
    return Operator("transpose", {"perm": layout.order(now, wanted)}, name=name)(value)
