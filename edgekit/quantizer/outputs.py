"""What a file made from a model must compute."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit.quantizer.reference import quantized_graph

if TYPE_CHECKING:
    from edgekit.model import Model
    from edgekit.parity import Array


def network_outputs(model: Model, images: Array) -> Array:
    """The network's first output in PyTorch for (n, C, H, W) float32: quantized where the model is, else float."""
    network = quantized_graph(model) if model.quantization else model.module.eval()
    with torch.no_grad():  # one by one: the graph is that of batch 1, as the file's is
        answers = [network(torch.from_numpy(image[None])).numpy() for image in np.ascontiguousarray(images)]
    return np.concatenate(answers)
