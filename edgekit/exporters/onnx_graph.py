"""From a PyTorch graph to a small, clean ONNX graph that is the same, byte for byte, wherever it is made."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from edgekit import optional
from edgekit.errors import InputError
from edgekit.quantizer.quiet import quiet_torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    import onnx
    from torch import fx


@contextmanager
def _refusing() -> Iterator[None]:
    """What the exporter cannot convert is the network's, and told in its first line."""
    try:
        yield
    except torch.onnx.OnnxExporterError as error:
        raise InputError(
            f"torch cannot write the network as ONNX: {str(error).strip().partition(chr(10))[0]}",
            hint="rewrite that operator with others",
        ) from error


def to_onnx(graph: fx.GraphModule, input_shape: tuple[int, ...], opset: int) -> onnx.ModelProto:
    """The graph as ONNX with input `input` of a fixed shape and output `output`; checked in full.

    Weights keep the network's names (`features.0.0.weight`); nothing in it tells when, where or from which
    source line it was made. Raises `MissingError` without onnx and onnxscript.
    """
    package = optional.load("onnx", extra="onnx")
    optional.load("onnxscript", extra="onnx")
    from edgekit.exporters.onnx_rewrite import (
        forget_origins,
        name_after_layers,
        name_transposed,
        pool_globally,
    )

    for part in graph.modules():
        part.training = False  # a graph from torch.export has no modes, and warns unless it says so
    with quiet_torch(), torch.no_grad(), _refusing():
        program = torch.onnx.export(
            graph,
            (torch.zeros(input_shape),),
            dynamo=True,
            opset_version=opset,
            input_names=["input"],
            output_names=["output"],
            verbose=False,
        )
    if program is None:
        raise TypeError("torch.onnx.export gave no program")
    model: onnx.ModelProto = program.model_proto
    pool_globally(model)
    forget_origins(model)
    name_transposed(model, {name: value.detach().numpy() for name, value in graph.state_dict().items()})
    name_after_layers(model)
    package.checker.check_model(model, full_check=True)
    return model
