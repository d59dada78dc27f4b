"""TF-MOT's `prune_low_magnitude`: zeros while it trains, on the layers that were asked for and can carry them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow_model_optimization as tfmot

from .described import Description
from .training import train
from .wrapping import choose, wrapped

sparsity = tfmot.sparsity.keras


def prune(
    model: Any, description: Description, folder: Path, job: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The trained network without its wrappers, and what was done to which layer."""
    how = job["method"]
    can, cannot = choose(description, how)
    if how["xnnpack"]:
        policy = sparsity.PruneForLatencyOnXNNPack()
        try:
            policy.ensure_model_supports_pruning(model)
        except ValueError as error:
            return None, {"layers": [], "without": cannot, "why": f"XNNPACK's sparse kernels: {error}"}
        other = [name for name in can if not policy.allow_pruning(model.get_layer(name))]
        cannot |= dict.fromkeys(other, "XNNPACK's sparse kernels are for 1×1 convolutions")
        can = [name for name in can if name not in other]
    if not can:
        return None, {"layers": [], "without": cannot}
    params: dict[str, Any] = {"pruning_schedule": _schedule(how, job["steps"])}
    if how["m_by_n"]:
        params["sparsity_m_by_n"] = tuple(how["m_by_n"])

    def wrap(layer: Any) -> Any:
        return sparsity.prune_low_magnitude(layer, **params)

    pruned = wrapped(model, set(can), wrap)
    loss = train(pruned, folder, job, [sparsity.UpdatePruningStep()])
    return sparsity.strip_pruning(pruned), {"layers": can, "without": cannot, "loss": loss}


def _schedule(how: dict[str, Any], steps: int) -> Any:
    """In steps; the last choice of zeros is at the end of the schedule, whatever lies between two."""
    begin, end = round(how["begin"] * steps), max(1, round(how["end"] * steps) - 1)
    every = min(how["every"], max(1, end - begin))
    if how["schedule"] == "constant":
        return sparsity.ConstantSparsity(how["sparsity"], begin, end, every)
    end -= (end - begin) % every
    return sparsity.PolynomialDecay(0.0, how["sparsity"], begin, end, frequency=every)
