"""Which operators of a .tflite file LiteRT's profiler speaks of: it names kernels, not the file's operators.

XNNPACK makes its operators in the file's order, one for each convolution and linear layer; what lies between two of
them is told by its kind.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from edgekit.operators import FileOperator, OperatorTime

_WEIGHTED = (
    "Convolution",
    "Fully Connected",
    "Deconvolution",
    "CONV_2D",
    "DEPTHWISE_CONV_2D",
    "FULLY_CONNECTED",
    "TRANSPOSE_CONV",
)
"""How kernels of weighted operators begin: XNNPACK's, then the interpreter's own."""
_KINDS = {
    "Add": "ADD",
    "Average Pooling": "AVERAGE_POOL_2D",
    "Copy": "CONCATENATION",
    "Concatenate": "CONCATENATION",
    "HardSwish": "HARD_SWISH",
    "Max Pooling": "MAX_POOL_2D",
    "Mean": "MEAN",
    "Multiply": "MUL",
    "Resize Bilinear": "RESIZE_BILINEAR",
    "Sigmoid": "LOGISTIC",
    "Slice": "SLICE",
    "Static Reshape": "RESHAPE",
    "Subtract": "SUB",
    "Transpose": "TRANSPOSE",
}
"""How XNNPACK calls what a file calls otherwise, where it makes one operator of one."""


def with_parts(ran: Sequence[OperatorTime], file: Sequence[FileOperator]) -> list[OperatorTime]:
    """What ran, with the names of the file's operators that it is.

    Without any where the two have unlike numbers of weighted operators: then the order tells nothing.
    """
    kernels, operators = (
        _cut([_kind(operator.kind) for operator in ran]),
        _cut([_weighted(one) for one in file]),
    )
    if len(kernels) != len(operators):
        return list(ran)
    parts: dict[int, str] = {}
    for (kernel, between), (operator, own) in zip(kernels, operators, strict=True):
        if kernel is not None and operator is not None:
            parts[kernel] = file[operator].name
        parts |= dict(
            _paired([(index, _kind(ran[index].kind)) for index in between], [file[place] for place in own])
        )
    return [
        replace(operator, parts=(parts[index],) if index in parts else ())
        for index, operator in enumerate(ran)
    ]


def _cut(kinds: Sequence[str]) -> list[tuple[int | None, list[int]]]:
    """Places of weighted operators, each with those of the others up to the next; first those before any."""
    found: list[tuple[int | None, list[int]]] = [(None, [])]
    for place, kind in enumerate(kinds):
        if kind == _WEIGHTED[0]:
            found.append((place, []))
        else:
            found[-1][1].append(place)
    return found


def _kind(kernel: str) -> str:
    """The file's word for a kernel; one word for all that have weights."""
    if kernel.startswith(_WEIGHTED):
        return _WEIGHTED[0]
    return next((kind for name, kind in _KINDS.items() if kernel.startswith(name)), kernel)


def _weighted(operator: FileOperator) -> str:
    return _WEIGHTED[0] if operator.layer else operator.kind


def _paired(
    kernels: Sequence[tuple[int, str]], operators: Sequence[FileOperator]
) -> Iterator[tuple[int, str]]:
    """The n-th kernel of a kind is the n-th operator of that kind, where there are as many."""
    ran: dict[str, list[int]] = defaultdict(list)
    own: dict[str, list[str]] = defaultdict(list)
    for index, kind in kernels:
        ran[kind].append(index)
    for operator in operators:
        own[operator.kind].append(operator.name)
    for kind, indices in ran.items():
        if len(indices) == len(own.get(kind, ())):
            yield from zip(indices, own[kind], strict=True)
