"""TF-MOT's weight clustering: a layer's weights are few different numbers, which a download packs well."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import tensorflow_model_optimization as tfmot
from tensorflow_model_optimization.python.core.clustering.keras.experimental import cluster as experimental

from .described import Description
from .training import train
from .wrapping import choose, wrapped

clustering = tfmot.clustering.keras


def cluster(
    model: Any, description: Description, folder: Path, job: dict[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """The trained network without its wrappers, and what was done to which layer."""
    how = job["method"]
    can, cannot = choose(description, how)
    few = [name for name in can if model.get_layer(name).get_weights()[0].size <= how["clusters"]]
    cannot |= dict.fromkeys(few, f"has no more weights than {how['clusters']}")
    can = [name for name in can if name not in few]
    if not can:
        return None, {"layers": [], "without": cannot}
    start = clustering.CentroidInitialization.KMEANS_PLUS_PLUS

    def wrap(layer: Any) -> Any:
        if how["preserve_sparsity"]:
            return experimental.cluster_weights(layer, how["clusters"], start, preserve_sparsity=True)
        return clustering.cluster_weights(layer, how["clusters"], start)

    clustered = wrapped(model, set(can), wrap)
    loss = train(clustered, folder, job, [])
    return clustering.strip_clustering(clustered), {"layers": can, "without": cannot, "loss": loss}
