"""What a file made from a model must compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.parity import batches_of
from edgekit.quantizer.reference import quantized_graph

if TYPE_CHECKING:
    from edgekit.model import Model
    from edgekit.parity import Array


def network_outputs(model: Model, images: Array) -> Array:
    """The network's first output in PyTorch for (n, C, H, W) float32: quantized where the model is, else float."""
    network = quantized_graph(model) if model.quantization else model.module.eval()
    with torch.no_grad():  # the graph takes as many as the file does
        answers = [
            network(torch.from_numpy(batch)).numpy() for batch in batches_of(images, model.input_shape[0])
        ]
    return np.concatenate(answers)[: len(images)]
