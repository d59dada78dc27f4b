"""A float ATen graph through litert-torch: channel-last, and in silence."""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from edgekit.errors import InputError
from edgekit.exporters.litert_rewrite import rewritten
from edgekit.optional import load
from edgekit.quantizer.quiet import quiet_torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import fx

# Read when the converter's libraries are loaded; afterwards they stay as quiet as they were told to be then.
_QUIET_LIBRARIES = {"TF_CPP_MIN_LOG_LEVEL": "2", "TF_ENABLE_ONEDNN_OPTS": "0"}
_QUIET_CONVERSION = {"LITERT_TORCH_SHOW_PROGRESS": "n"}


def convert(graph: fx.GraphModule, input_shape: tuple[int, int, int, int]) -> bytes:
    """The float .tflite of a graph that takes (N, C, H, W); the file takes (N, H, W, C).

    Outputs of four dimensions are channel-last too. Raises `MissingError` without litert-torch, `InputError`
    where it has no lowering for an operator of the graph.
    """
    with quiet_torch(), _environment(_QUIET_LIBRARIES):
        litert_torch = load("litert_torch", extra="litert")
    outputs = graph.graph.output_node().all_input_nodes
    images = [place for place, node in enumerate(outputs) if node.meta["val"].dim() == 4]
    module = litert_torch.to_channel_last_io(rewritten(graph), args=[0], outputs=images)
    module.training = False  # an exported graph is in eval mode and refuses `.eval()`
    sample = torch.zeros(input_shape).permute(0, 2, 3, 1).contiguous()
    with quiet_torch(), torch.no_grad(), _environment(_QUIET_CONVERSION):
        try:
            content = litert_torch.convert(module, (sample,)).model_content()
        except (RuntimeError, ValueError, AssertionError) as error:  # its own, MLIR's and torch.export's
            raise InputError(
                f"litert-torch cannot convert the network: {str(error).strip().partition(chr(10))[0]}",
                hint="rewrite that operator with others, or choose a target with another runtime",
            ) from error
    return bytes(content)


@contextmanager
def _environment(variables: dict[str, str]) -> Iterator[None]:
    """Environment variables for the block alone: the only way in which these libraries take such settings."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
