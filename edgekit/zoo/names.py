"""Parameter names of one public form as those of another, layer by layer."""

from __future__ import annotations

from collections.abc import Callable, Mapping


def by_layer(layers: Mapping[str, str]) -> Callable[[str], str]:
    """A `rename` for `network`: the layers that `layers` knows get their other name, all else is left as it is."""

    def rename(key: str) -> str:
        layer, _, kind = key.rpartition(".")
        return f"{layers[layer]}.{kind}" if layer in layers else key

    return rename
