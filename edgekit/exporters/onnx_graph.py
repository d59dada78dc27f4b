"""From a PyTorch graph to a small, clean ONNX graph that is the same, byte for byte, wherever it is made."""

from __future__ import annotations

import logging
import warnings
from typing import TYPE_CHECKING

import numpy as np
import torch

from edgekit import optional
from edgekit.quantizer.quiet import quiet_torch

if TYPE_CHECKING:
    import onnx
    from torch import fx

WEIGHTED = ("Conv", "ConvTranspose", "Gemm", "MatMul")


def to_onnx(graph: fx.GraphModule, input_shape: tuple[int, ...], opset: int) -> onnx.ModelProto:
    """The graph as ONNX with input `input` of a fixed shape and output `output`; checked in full.

    Weights keep the network's names (`features.0.0.weight`), their operators the layer's (`features.0.0`);
    nothing in it tells when, where or from which source line it was made. Raises `MissingError` without onnx.
    """
    onnx = optional.load("onnx", extra="onnx")
    optional.load("onnxscript", extra="onnx")
    with quiet_torch(), torch.no_grad():
        program = torch.onnx.export(
            graph,
            (torch.zeros(input_shape),),
            dynamo=True,
            opset_version=opset,
            input_names=["input"],
            output_names=["output"],
            verbose=False,
        )
    assert program is not None
    model: onnx.ModelProto = program.model_proto
    _forget_origins(model)
    _name_after_layers(model)
    onnx.checker.check_model(model, full_check=True)
    return model
