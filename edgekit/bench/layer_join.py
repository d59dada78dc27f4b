"""Times of a runtime's operators, joined to the layers of the network that they compute.

Three lists meet by name: what ran, the operators of the file, the layers whose costs are known. A runtime fuses,
splits, renames and adds operators; none of its time is dropped: what is no layer's keeps a row under its own name.
"""

from __future__ import annotations

import re
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING

from edgekit.report import LayerTime

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.operators import FileOperator, OperatorTime

BETWEEN = "(beside the operators)"
_ADDED = re.compile(r"(_nchwc|_token_\d+)$")
"""What ONNX Runtime appends to the name of what an operator became."""
_NUMBERED = re.compile(r"(?:node_)?(?P<kind>[a-z]\w*?)(?:_(?P<number>\d+))?")
"""`torch.export`'s name of an operator, as files keep it: `node_add_1` is the second `add`."""
_SAME = {"adaptive_avg_pool2d": "mean"}
"""Operators that exporters write as another one."""
_LAYOUT = ("reorder", "transpose", "reformat")
"""How runtimes call what only moves values into another layout."""


@dataclass(frozen=True)
class Layer:
    """A layer of the network with its static cost, where that is known."""

    name: str
    operator: str
    macs: int | None = None
    memory_access_bytes: int | None = None


def join(
    ran: Sequence[OperatorTime], file: Sequence[FileOperator], layers: Sequence[Layer], inference_ns: float
) -> tuple[LayerTime, ...]:
    """One row for each layer, or for those that were fused, in the order in which they ran.

    Then the layers that no operator is known to compute, at no time; last what an inference (`inference_ns`) took
    beside its operators, so that rows add up to it.
    """
    named = _named(ran, file)
    places = _layers_of_file(file, layers)
    computed = [{places[index] for index in found if index in places} for found in named]
    for index, owner in _adopted(named, ran, file).items():
        if index in places:
            computed[owner].add(places[index])
    rows = []
    for members in _groups(computed):
        own = [ran[member] for member in members]
        parts = [layers[place] for place in sorted(set().union(*(computed[member] for member in members)))]
        rows.append(_row(_joined(parts) or _own_name(own[0], named[members[0]], file), own, parts))
    timed = set().union(*computed)
    unseen = [_row(_joined([layer]), [], [layer]) for place, layer in enumerate(layers) if place not in timed]
    between = max(0.0, inference_ns - sum(operator.time_ns for operator in ran))
    return (*rows, *unseen, LayerTime(name=BETWEEN, operators=(), time_ns=between))


def layers_in(file: Sequence[FileOperator]) -> list[Layer]:
    """The weighted layers that a file names: what is known of a network where its costs are not."""
    return [Layer(operator.layer, operator.kind) for operator in file if operator.layer]


def _named(ran: Sequence[OperatorTime], file: Sequence[FileOperator]) -> list[list[int]]:
    """For each operator that ran those of the file that it names, or whose values."""
    index = {value: place for place, operator in enumerate(file) for value in operator.outputs}
    index |= {operator.name: place for place, operator in enumerate(file)}
    found = [
        [next((index[alias] for alias in _aliases(part) if alias in index), None) for part in operator.parts]
        for operator in ran
    ]
    return [list(dict.fromkeys(place for place in places if place is not None)) for places in found]


def _aliases(name: str) -> Iterator[str]:
    """A name, then what it was before a runtime put something before, after or behind a slash to it."""
    yield name
    name = name.removeprefix("fused ")
    yield name
    while (shorter := _ADDED.sub("", name)) != name:
        name = shorter
        yield name
    while "/" in name:
        name = name.rpartition("/")[0]
        yield name


def _adopted(
    named: Sequence[Sequence[int]], ran: Sequence[OperatorTime], file: Sequence[FileOperator]
) -> dict[int, int]:
    """Operators of the file that nothing names → what ran with their neighbour, which they were fused into.

    A layer with weights was fused into what follows it (a convolution goes by its activation's name), anything else
    into what came before it, unless something that ran between the two may be it.
    """
    claims = {place: owner for owner in reversed(range(len(ran))) for place in named[owner]}
    readers: dict[str, list[int]] = defaultdict(list)
    for place, operator in enumerate(file):
        for value in operator.inputs:
            readers[value].append(place)
    after = [sorted({place for value in operator.outputs for place in readers[value]}) for operator in file]
    found = dict(claims)
    for place in reversed(range(len(file))):
        if place not in found and file[place].layer:
            owners = [found[reader] for reader in after[place] if reader in found]
            found |= {place: min(owners)} if owners else {}
    maker = {value: place for place, operator in enumerate(file) for value in operator.outputs}
    for place, operator in enumerate(file):
        owners = [found[maker[value]] for value in operator.inputs if maker.get(value) in found]
        if place in found or not owners:
            continue
        until = min((claims[reader] for reader in after[place] if reader in claims), default=len(ran))
        between = (index for index in range(max(owners) + 1, until) if not named[index])
        if all(ran[index].kind.lower().startswith(_LAYOUT) for index in between):
            found[place] = max(owners)
    return {place: owner for place, owner in found.items() if place not in claims}


def _layers_of_file(file: Sequence[FileOperator], layers: Sequence[Layer]) -> dict[int, int]:
    """Operator of the file → its layer: the n-th use of a layer's weights is the n-th layer of that name.

    Without weights: the n-th `add` of the file is that of the network, where both have as many.
    """
    named: dict[str, list[int]] = defaultdict(list)
    kinds: dict[str, list[int]] = defaultdict(list)
    for place, layer in enumerate(layers):
        named[layer.name].append(place)
        kinds[_SAME.get(layer.operator, layer.operator)].append(place)
    uses: dict[str, list[int]] = defaultdict(list)
    others: dict[str, list[tuple[int, int]]] = defaultdict(list)
    for place, operator in enumerate(file):
        if operator.layer:
            uses[operator.layer].append(place)
        elif found := _NUMBERED.fullmatch(operator.name):
            kind = _SAME.get(found["kind"], found["kind"])
            others[kind].append((int(found["number"] or 0), place))
    pairs = [pair for name, found in uses.items() for pair in zip(found, named.get(name, ()), strict=False)]
    for kind, numbered in others.items():
        if len(numbered) == len(kinds.get(kind, ())):
            pairs += zip((place for _, place in sorted(numbered)), kinds[kind], strict=True)
    return dict(pairs)


def _groups(computed: Sequence[set[int]]) -> list[list[int]]:
    """Operators that ran, together where they compute parts of one layer; in order."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pairs = [(index, len(computed) + place) for index, places in enumerate(computed) for place in places]
    size = max((place for _, place in pairs), default=len(computed) - 1) + 1
    ends = tuple(zip(*pairs, strict=True)) or ((), ())
    _, labels = connected_components(
        coo_array(([True] * len(pairs), ends), shape=(size, size)), directed=False
    )
    groups: dict[int, list[int]] = defaultdict(list)
    for index in range(len(computed)):
        groups[int(labels[index])].append(index)
    return sorted(groups.values())


def _joined(layers: Sequence[Layer]) -> str:
    return " + ".join(dict.fromkeys(layer.name or f"({layer.operator})" for layer in layers))


def _own_name(ran: OperatorTime, named: Sequence[int], file: Sequence[FileOperator]) -> str:
    """Of an operator that is no layer: its name in the file, else the runtime's."""
    return file[named[0]].name.removeprefix("node_") if named else ran.name


def _row(name: str, ran: Sequence[OperatorTime], layers: Sequence[Layer]) -> LayerTime:
    macs = [layer.macs for layer in layers if layer.macs is not None]
    moved = [layer.memory_access_bytes for layer in layers if layer.memory_access_bytes is not None]
    return LayerTime(
        name=name,
        operators=tuple(operator.kind for operator in ran),
        time_ns=sum(operator.time_ns for operator in ran),
        macs=sum(macs) if macs else None,
        memory_access_bytes=sum(moved) if moved else None,
    )
