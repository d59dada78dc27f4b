"""Small Q/DQ files in ONNX, operator by operator, and how to alter one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper, numpy_helper

CHANNELS = 4


def model_of(nodes: Sequence[onnx.NodeProto], constants: Mapping[str, Any]) -> onnx.ModelProto:
    """`input` (1, 4, 8, 8) → nodes → `output` (1, 4)."""
    graph = helper.make_graph(
        nodes,
        "network",
        [helper.make_tensor_value_info("input", onnx.TensorProto.FLOAT, (1, CHANNELS, 8, 8))],
        [helper.make_tensor_value_info("output", onnx.TensorProto.FLOAT, (1, CHANNELS))],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 19)], ir_version=10)


def by_name(model: onnx.ModelProto, name: str) -> Any:
    """The operator of that name."""
    return next(node for node in model.graph.node if node.name == name)


def add(model: onnx.ModelProto, name: str, value: Any) -> str:
    """Another constant; gives its name."""
    model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return name
