"""What is gated beside speed: size, peak memory, operators that fell back to float, accuracy, parity."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from edgekit.artifact import PARITY
from edgekit.bench import Candidate, predict
from edgekit.devices import Device
from edgekit.errors import MeasurementError
from edgekit.gate.case import Case
from edgekit.gate.pairs import Pair
from edgekit.gate.result import Check
from edgekit.parity import sqnr_db

ENOUGH_DB = 25.0
"""A parity above this is rounding noise; only below it does a loss count."""


@dataclass(frozen=True)
class Figure:
    """One figure of both sides; None where a side has none."""

    name: str
    base: float | None
    candidate: float | None
    source: str
    """Where it comes from, and so what is lacking where there is none."""
    limit: Callable[[float], float]
    """What the candidate may have, by what the base has."""
    least: bool = False
    """Whether the limit is the least that it may have, not the most."""


def checks(
    case: Case, pairs: Sequence[Pair], parity: tuple[float | None, float | None]
) -> tuple[tuple[Check, ...], tuple[str, ...]]:
    """Each figure that both sides have against its own limit, and in words those that could not be compared.

    `parity` is that of base and candidate, in decibels.
    """
    figures = tuple(_figures(case, pairs, parity))
    judged = tuple(_check(figure) for figure in figures)
    return (
        tuple(check for check in judged if check is not None),
        tuple(_lacking(figure) for figure, check in zip(figures, judged, strict=True) if check is None),
    )


def _check(figure: Figure) -> Check | None:
    base, candidate = figure.base, figure.candidate
    if base is None or candidate is None:
        return None
    limit = figure.limit(base)
    kept = candidate >= limit if figure.least else candidate <= limit
    return Check(name=figure.name, base=base, candidate=candidate, limit=limit, kept=kept)


def _lacking(figure: Figure) -> str:
    if figure.base is None and figure.candidate is None:
        return f"{figure.name}: neither side has {figure.source}"
    return f"{figure.name}: the {'base' if figure.base is None else 'candidate'} has no {figure.source}"


def _figures(
    case: Case, pairs: Sequence[Pair], parity: tuple[float | None, float | None]
) -> Iterator[Figure]:
    limits, sides = case.limits, (case.base, case.candidate)
    sizes = [float(side.size_bytes) for side in sides]
    yield Figure("size_bytes", *_both(sizes), "files", lambda base: (1 + limits.size) * base)
    blocks = [(pair.base, pair.candidate) for pair in pairs]
    memory = [
        float(median(block.peak_rss_bytes for block in side)) or None for side in zip(*blocks, strict=True)
    ]
    yield Figure(
        "peak_rss_bytes", *_both(memory), "peak memory measured", lambda base: (1 + limits.peak_memory) * base
    )
    operators = [float(block.executed.float_operators) for block in blocks[0]] if blocks else []
    yield Figure(
        "float_operators", *_both(operators), "operators told", lambda base: base + limits.float_operators
    )
    tested = case.tested
    same_data = None in tested or len({side.data for side in tested if side is not None}) == 1
    yield Figure(
        "accuracy",
        *_both([side.accuracy if side and same_data else None for side in tested]),
        "accuracy on the test split in a run's report" if same_data else "accuracy on the other's data",
        lambda base: base - limits.accuracy_points / 100,
        least=True,
    )
    yield Figure(
        "parity_db", *parity, "known answers that were run here",
        lambda base: min(ENOUGH_DB, base - limits.parity_db), least=True,
    )  # fmt: skip


def _both(values: Sequence[float | None]) -> tuple[float | None, float | None]:
    return (values[0], values[1]) if values else (None, None)


def measured_parity(side: Candidate, device: Device, *, threads: int) -> float | None:
    """Decibels between a file's known answers and those that its runtime gives there; None where it has none.

    Raises `MeasurementError` where the runtime fails, `MissingError` where the device is gone.
    """
    if not (side.artifact.folder / PARITY).is_file():
        return None
    known, expected = side.artifact.parity()
    answers = predict(side.artifact, side.runtime, known, device, threads=threads, options=side.options)
    if answers.shape != expected.shape:
        raise MeasurementError(
            f"{side.name} gave {answers.shape} where its known answers are {expected.shape}"
        )
    return sqnr_db(expected, answers)
