"""No regret: a stage is kept if it gains on what the recipe counts for it and stays in the accuracy budget."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from edgekit.measurement import SLOWER
from edgekit.recipe import Gain

OPEN, SETTLED = "recovery decides", "won back by recovery"
"""How the reason of a provisional stage ends, before and after it was found within the budget."""
WITHDRAWN = "rolled back with the prune that it was for"
"""The reason of a channel pattern that no prune made use of."""


@dataclass(frozen=True)
class Figures:
    """What a stage can gain on, for one model; None where it was not taken."""

    macs: int
    memory: int
    """Memory access, bytes."""
    size: int | None
    """The exported file, bytes."""
    compressed_size: int | None
    accuracy: float | None
    """On the decision split, in [0, 1]."""
    latency_ms: float | None
    """The median, measured in one interleaved run with the figures that it is compared with."""
    crashed: str = ""
    """What happened when the runtime opened or ran the file."""


@dataclass(frozen=True)
class Verdict:
    """Whether a stage stays, and the sentence that the report gives."""

    kept: bool
    reason: str
    provisional: bool = False
    """Outside the accuracy budget for now: the recipe's next recovery decides."""


_NUMBERS: dict[Gain, Callable[[Figures], float | None]] = {
    "macs": lambda figures: figures.macs,
    "memory": lambda figures: figures.memory,
    "size": lambda figures: figures.size,
    "compressed_size": lambda figures: figures.compressed_size,
    "latency": lambda figures: figures.latency_ms,
    "accuracy": lambda figures: None if figures.accuracy is None else -figures.accuracy,
}


def judge(
    before: Figures,
    after: Figures,
    *,
    counts: tuple[Gain, ...],
    floor: float | None,
    on_target: bool,
    recovery_follows: bool,
    metric: str = "accuracy",
) -> Verdict:
    """Keep or roll back.

    `on_target`: latency was measured on the target, or in its own runtime where this machine is the target. A
    proxy's speed neither keeps nor rejects a stage. `floor` is the least accuracy that the budget allows,
    and `metric` what the reasons call it.
    """
    if after.crashed:
        return Verdict(kept=False, reason=after.crashed)
    gained = [text for count in counts if (text := _gain(count, before, after, metric, on_target=on_target))]
    if not gained:
        return Verdict(kept=False, reason=f"no gain on {', '.join(counts).replace('accuracy', metric)}")
    if on_target and "latency" in counts and _slower(before, after):
        return Verdict(
            kept=False,
            reason=f"measured slower: p50 {after.latency_ms:.3f} ms against {before.latency_ms:.3f} ms",
        )
    reason = "; ".join(gained)
    if "latency" in counts and not on_target:
        reason += "; speed unmeasured"
    return _within(after, reason, floor=floor, recovery_follows=recovery_follows, metric=metric)


def judge_prepared(
    after: Figures, summary: str, *, floor: float | None, recovery_follows: bool, metric: str = "accuracy"
) -> Verdict:
    """Keep or roll back channels that were trained towards zero: nothing is gained before the next prune.

    Only the accuracy budget is held here; where that prune is rolled back, they are too.
    """
    if after.crashed:
        return Verdict(kept=False, reason=after.crashed)
    return _within(
        after,
        f"{summary}; counts with the next prune",
        floor=floor,
        recovery_follows=recovery_follows,
        metric=metric,
    )


def _within(
    after: Figures, reason: str, *, floor: float | None, recovery_follows: bool, metric: str
) -> Verdict:
    if floor is None or after.accuracy is None or after.accuracy >= floor:
        return Verdict(kept=True, reason=reason)
    lost = f"{metric} {100 * after.accuracy:.2f} %, the budget asks for {100 * floor:.2f} %"
    if recovery_follows:
        return Verdict(kept=True, reason=f"{reason}; {lost}: {OPEN}", provisional=True)
    return Verdict(kept=False, reason=lost)


def _gain(count: Gain, before: Figures, after: Figures, metric: str, *, on_target: bool) -> str:
    """`macs -50.0 %`, or an empty text where nothing was gained or nothing may be said."""
    old, new = _NUMBERS[count](before), _NUMBERS[count](after)
    if old is None or new is None or new >= old:
        return ""
    if count == "latency" and (not on_target or SLOWER * new >= old):
        return ""
    if count == "accuracy":
        return f"{metric} {-100 * old:.2f} → {-100 * new:.2f} %"
    return f"{count.replace('_', ' ')} {100 * (new / old - 1):+.1f} %"


def _slower(before: Figures, after: Figures) -> bool:
    return (
        before.latency_ms is not None
        and after.latency_ms is not None
        and after.latency_ms > SLOWER * before.latency_ms
    )
