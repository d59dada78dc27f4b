"""Which operators of an INT8 network go back to float: those that gain nothing there, found by measuring.

What a runtime makes of Q/DQ, layouts and fusions is not in any rule: operators are timed in both files, and then whole
networks. Where the accuracy budget is missed, the operators that cost the outputs most go first (HAWQ, Dong et al.
2019, ranks by curvature; here the outputs themselves are compared).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from edgekit.measurement import SLOWER
from edgekit.model import Event, Model
from edgekit.quantizer.mixed import float_layers, integer_layers, sensitivity, with_floats
from edgekit.quantizer.reference import decision_of

if TYPE_CHECKING:
    from edgekit.stages import Context, Timing
    from edgekit.target import Target

GAINS = (1.0, 0.9)
"""An operator whose time in INT8 is over this share of its time in float goes back, in one candidate each."""
LOOKS = 16
"""Pictures that an operator's cost is taken on."""
MOST = 0.25
"""The share of operators that may go back to float for accuracy's sake."""


def can_mix(target: Target) -> bool:
    """Whether the target's files may hold both: some units compute integers alone."""
    return not target.integer_only


def fastest(int8: Model, plain: Model, context: Context, timing: Timing) -> Model:
    """The INT8 network, or one with operators in float that was measured faster and no less within the budget."""
    layers = integer_layers(int8)
    context.progress.say("timing operators in INT8 and in float")
    ratios = _ratios(layers, timing.layers(int8), timing.layers(plain))
    candidates = _candidates(int8, layers, ratios)
    if not candidates:
        return int8
    whole, best_float, *times = timing.medians([int8, plain, *candidates])
    floats = [[name for name in layers if name in decision_of(each).float_operators] for each in candidates]
    told = {
        "p50, INT8 throughout": _ms(whole),
        "p50, float": _ms(best_float),
        **{
            f"p50, {len(each)} of {len(layers)} in float": _ms(time)
            for each, time in zip(floats, times, strict=True)
        },
    }
    ranked = sorted((time, place) for place, time in enumerate(times) if time is not None)
    if whole is not None and (not ranked or SLOWER * ranked[0][0] >= whole):
        return int8.after(_event(int8, "none was faster with operators in float", told))
    chosen, names = candidates[ranked[0][1]], floats[ranked[0][1]]
    if not _is_good_enough(chosen, int8, context):
        return int8.after(_event(int8, "faster with operators in float, and outside the budget", told))
    why = f"{len(names)} of {len(layers)} operators in float: measured faster"
    slow = {layers[name]: f"{ratios[name]:.2f} of its time in float" for name in names if name in ratios}
    return chosen.after(_event(chosen, why, {**told, **slow}))


def within_budget(int8: Model, context: Context) -> Model:
    """The INT8 network with as few of the operators that cost most in float as bring it into the accuracy budget.

    The network itself where a quarter of them does not suffice.
    """
    floor, layers = context.accuracy_floor, integer_layers(int8)
    split = context.data.calibration
    costs = sensitivity(int8, split.images(np.arange(min(LOOKS, len(split)))))
    worst = sorted(costs, key=lambda name: costs[name])
    count = 1
    while floor is not None and count <= max(1, int(MOST * len(worst))):
        candidate = with_floats(int8, worst[:count])
        reached = context.measured_accuracy(candidate)
        if reached is not None and reached >= floor:
            floats = len(layers) - len(integer_layers(candidate))
            why = f"{floats} of {len(layers)} operators in float, which cost its outputs most"
            told = {layers[name]: f"{costs[name]:.1f} dB alone in INT8" for name in worst[:count]}
            return candidate.after(_event(candidate, why, told))
        count *= 2
    return int8


def _ratios(
    layers: Mapping[str, str], int8: Mapping[str, float], plain: Mapping[str, float]
) -> dict[str, float]:
    """Operator → its time in INT8 relative to float; those that one of the files does not tell of are left out."""
    return {
        name: int8[layer] / plain[layer]
        for name, layer in layers.items()
        if layer in int8 and plain.get(layer, 0) > 0
    }


def _candidates(int8: Model, layers: Mapping[str, str], ratios: Mapping[str, float]) -> list[Model]:
    """Each network once: with a layer that is used twice, several choices may amount to the same."""
    made = (with_floats(int8, choice) for choice in _choices(list(layers), ratios))
    unlike = {decision_of(one).float_operators: one for one in made}
    return [one for floats, one in unlike.items() if not layers.keys() <= {*floats}]


def _choices(order: Sequence[str], ratios: Mapping[str, float]) -> Iterator[tuple[str, ...]]:
    """What may go back to float, each once: by how little it gains, and only where a neighbour goes along.

    A single operator in float pays for two borders.
    """
    seen: set[tuple[str, ...]] = {(), tuple(order)}
    for share in GAINS:
        alone = [ratios.get(name, 0.0) > share for name in order]
        sides = zip([False, *alone], alone, [*alone[1:], False], strict=False)
        paired = [own and (before or behind) for before, own, behind in sides]
        for marks in (alone, paired):
            choice = tuple(name for name, mark in zip(order, marks, strict=True) if mark)
            if choice not in seen:
                seen.add(choice)
                yield choice


def _is_good_enough(chosen: Model, int8: Model, context: Context) -> bool:
    floor, reached = context.accuracy_floor, context.measured_accuracy(chosen)
    if floor is None or reached is None or reached >= floor:
        return True
    whole = context.measured_accuracy(int8)
    return whole is not None and reached >= whole


def _event(model: Model, why: str, told: Mapping[str, str]) -> Event:
    before = model.lineage[-1]
    return Event(
        stage=before.stage,
        summary=f"{before.summary}; {why}",
        details={
            **before.details,
            "float_operators": list(float_layers(model)),
            "mixed_precision": dict(told),
        },
    )


def _ms(time: float | None) -> str:
    return "failed" if time is None else f"{time:.3f} ms"
