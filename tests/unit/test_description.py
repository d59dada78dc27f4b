"""A network as plain operators: what is said of a graph, and what cannot be said."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from small_networks import Residual, Shuffled
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.graph.describe import describe
from edgekit.graph.trace import trace


def test_operators_name_their_weights_by_the_networks_own_names() -> None:
    network = Residual().eval()
    found = describe(trace(network, (2, 3, 32, 32)))
    convolutions = [operator for operator in found.operators if operator["op"] == "conv2d"]
    assert len(convolutions) == sum(isinstance(layer, nn.Conv2d) for layer in network.modules())
    assert convolutions[0]["weights"] == {"weight": "features.0.0.weight"}
    assert convolutions[0]["options"]["inputs"] == 3
    assert found.operators[0]["op"] == "input"
    assert found.operators[-1]["shape"] == [10]
    for name, value in found.weights.items():
        assert np.array_equal(value, network.state_dict()[name].numpy())
    json.dumps(found.operators)


def test_parts_of_a_tensor_are_slices_and_nothing_depends_on_the_batch() -> None:
    two, three = (describe(trace(Shuffled().eval(), (n, 3, 32, 32))).operators for n in (2, 3))
    assert two == three
    slices = [operator["options"] for operator in two if operator["op"] == "slice"]
    assert slices[:2] == [{"axis": 1, "start": 0, "end": 8}, {"axis": 1, "start": 8, "end": 16}]


class _Calls(nn.Module):
    def __init__(self, what: str) -> None:
        super().__init__()
        self.what, self.conv = what, nn.Conv2d(3, 4, 1)
        self.held = nn.Parameter(torch.ones(1, 4, 8, 8))

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.conv(x)
        match self.what:
            case "roll":
                return torch.roll(y, 1, 3)
            case "batch":
                return y.reshape(-1, 2, 4, 8, 8).mean(1)
            case "held":
                return y + self.held
            case "every second":
                return y[:, ::2]
            case "mean without its padding":
                return nn.functional.avg_pool2d(y, 3, 1, 1, count_include_pad=False)
        return nn.functional.adaptive_avg_pool2d(y, 3)


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("roll", "roll"),
        ("batch", "moves values from picture to picture"),
        ("held", "more than a number a channel"),
        ("every second", "takes every second value"),
        ("mean without its padding", "out of its means"),
        ("pools to 3×3", "does not pool globally"),
    ],
)
def test_what_has_no_counterpart_is_named(what: str, said: str) -> None:
    with pytest.raises(InputError, match=said):
        describe(trace(_Calls(what).eval(), (2, 3, 8, 8)))
