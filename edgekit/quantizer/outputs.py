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
    quantized = model.quantization is not None
    network = quantized_graph(model, any_batch=len(images) > 1) if quantized else model.module.eval()
    with torch.no_grad():
        outputs = network(torch.from_numpy(np.ascontiguousarray(images)))
    result: Array = outputs.numpy()
    return result
