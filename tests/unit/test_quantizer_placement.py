"""Where Q/DQ go: the targets' rules, read on operators of every kind."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from small_networks import Gated, Residual, Shuffled, model_of
from torch import Tensor, fx, nn

from edgekit.quantizer.fold import folded_graph
from edgekit.quantizer.placement import place
from edgekit.target import Int8Rules, list_targets, load_target


def rules(target: str, **changes: object) -> Int8Rules:
    return load_target(target).int8.model_copy(update=changes)


GRAPHS: dict[type[nn.Module], fx.GraphModule] = {}


def graph_of(network: type[nn.Module]) -> fx.GraphModule:
    if network not in GRAPHS:
        GRAPHS[network] = folded_graph(model_of(network))
    return GRAPHS[network]


def placed(network: type[nn.Module], chosen: Int8Rules) -> tuple[dict[str, str], dict[str, int]]:
    placement = place(graph_of(network), chosen)
    leaders = {node.name: leader.name for node, leader in placement.leaders.items()}
    return leaders, {node.name: axis for node, axis in placement.channel_axes.items()}


def test_onnx_runtime_gets_both_branches_and_the_sum_of_a_residual() -> None:
    leaders, axes = placed(Residual, rules("host"))
    assert {"conv2d_3", "conv2d_6", "add", "conv2d_9", "add_1", "x", "mean", "linear"} <= set(leaders)
    assert "conv2d" not in leaders  # its activation's result is the integer
    assert "hardtanh" in leaders
    assert set(axes.values()) == {0}
    assert len(axes) == 12


def test_tensorrt_gets_the_skip_alone() -> None:
    leaders, _ = placed(Residual, rules("jetson"))
    assert "conv2d_3" in leaders  # the first skip: also what the next convolution reads
    assert "conv2d_6" not in leaders  # straight into the add
    assert "conv2d_9" not in leaders
    assert {"add", "add_1"} <= set(leaders)  # read by convolutions
    assert "linear" not in leaders


def test_a_rule_can_leave_residuals_to_themselves() -> None:
    alone = rules("intel-cpu", residual_inputs="none", residual_output=False, quantize_results=False)
    leaders, _ = placed(Residual, alone)
    assert "conv2d_6" not in leaders  # only the add reads it
    assert {"conv2d_3", "add"} <= set(leaders)  # convolutions read these


def test_no_rule_leaves_a_weighted_operator_without_integers_to_read() -> None:
    for target in list_targets():
        for network in (Residual, Shuffled, Gated):
            graph = graph_of(network)
            weighted = [node.name for node in graph.graph.nodes if node.name.startswith(("conv", "linear"))]
            axes = place(graph, target.int8).channel_axes
            assert sorted(node.name for node in axes) == sorted(weighted), target.id


@pytest.mark.parametrize("target", ["host", "intel-cpu"])
def test_what_is_concatenated_has_one_scale(target: str) -> None:
    leaders, _ = placed(Shuffled, rules(target))
    assert (
        leaders["cat"] == leaders["relu"] == leaders["relu_2"]
    )  # the stem through max pool and split, the branch
    assert leaders["cat"] == leaders["cat_1"]  # half of the first goes into the second
    assert leaders["relu_1"] == "relu_1"


def test_movement_is_seen_through_or_carries_the_scale_of_what_it_moves() -> None:
    without, _ = placed(Shuffled, rules("host", quantize_movement=False))
    assert not [name for name in without if name.startswith(("view", "getitem", "max_pool", "transpose"))]
    leaders, _ = placed(Shuffled, rules("host"))
    moved = [name for name in leaders if name.startswith(("view", "getitem", "max_pool", "transpose"))]
    assert len(moved) > 5
    assert {leaders[name] for name in moved} == {leaders["cat"]}


def test_an_activation_that_the_runtime_fuses_is_not_cut_off() -> None:
    fused, _ = placed(Gated, rules("intel-cpu"))
    assert "conv2d" not in fused
    assert "hardswish" in fused
    apart, _ = placed(Gated, rules("host"))
    assert {"conv2d", "hardswish"} <= set(apart)


def test_the_gate_is_an_integer_only_where_the_rules_say_so() -> None:
    sparing = rules("intel-cpu", quantize_results=False)
    assert "hardsigmoid" not in placed(Gated, sparing)[0]
    assert "hardsigmoid" in placed(Gated, sparing.model_copy(update={"quantize_multiply": True}))[0]


def test_the_output_stays_float_unless_asked_for() -> None:
    assert "linear" not in placed(Residual, rules("intel-cpu"))[0]
    assert "linear" in placed(Residual, rules("intel-cpu", quantize_output=True))[0]


class Odd(nn.Module):
    """Operators that no rule knows, weights that no axis fits, arithmetic with constants."""

    def __init__(self) -> None:
        super().__init__()
        self.depthwise = nn.ConvTranspose2d(4, 4, 2, 2, groups=4)
        self.grouped, self.up = nn.ConvTranspose2d(4, 4, 2, 2, groups=2), nn.ConvTranspose2d(4, 6, 2, 2)
        self.stem, self.last = nn.Conv2d(3, 4, 3, 2), nn.Conv2d(6, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self.up(self.grouped(self.depthwise(self.stem(x) + 1)))
        x = F.pad(x, (1, 1, 1, 1), value=1.0)
        x = F.softmax(self.last(F.pad(x, (1, 1, 1, 1))), dim=1)
        return torch.matmul(x, x.transpose(2, 3))


def test_what_is_not_known_stays_float() -> None:
    leaders, axes = placed(Odd, rules("jetson", quantize_movement=False))
    assert axes == {"conv2d": 0, "conv_transpose2d": 0, "conv_transpose2d_2": 1, "conv2d_1": 0}
    assert not {"softmax", "matmul", "transpose", "conv2d_1"} & set(leaders)
    # Ones around a picture are values that no scale was meant for; zeros lie on every grid.
    assert "pad" in leaders
    assert "pad_1" not in leaders


def test_two_convolutions_that_meet_leave_the_later_one_to_be_fused() -> None:
    class Meeting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.next = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            y: Tensor = self.next(torch.relu(self.one(x) + self.two(x)))
            return y

    leaders, _ = placed(Meeting, rules("jetson"))
    assert "conv2d" in leaders
    assert "conv2d_1" not in leaders
    assert "relu" in leaders
    assert "add" not in leaders


def test_a_scale_is_shared_by_the_first_in_the_graph() -> None:
    graph = graph_of(Shuffled)
    order = {node: index for index, node in enumerate(graph.graph.nodes)}
    leaders = place(graph, rules("host")).leaders
    assert all(order[leader] <= order[node] for node, leader in leaders.items())
    assert all(isinstance(node, fx.Node) for node in leaders)


class Mixed(nn.Module):
    """A ReLU's result beside values that may be negative, and one beside its like."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.other, self.alike = (nn.Conv2d(inputs, 4, 1) for inputs in (3, 4, 8))
        self.last = nn.Conv2d(12, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(N, 4, H, W)."""
        first = self.stem(x).relu()
        beside = torch.cat([first, self.other(first)], 1)
        again = self.alike(beside).relu()
        result: Tensor = self.last(torch.cat([again, F.relu6(again), again], 1))
        return result


def test_a_relu_whose_scale_reaches_below_zero_leaves_its_convolution_an_integer_of_its_own() -> None:
    leaders, _ = placed(Mixed, rules("host"))
    assert leaders["conv2d"] == "conv2d"  # the ReLU cannot be left out
    assert leaders["relu"] == leaders["conv2d_1"] == leaders["cat"]
    assert "conv2d_2" not in leaders  # all that share this scale are as the ReLU leaves them
    without, _ = placed(Mixed, rules("host", fused_by_grid=False))
    assert set(leaders) - set(without) == {"conv2d"}


def test_a_relu6_does_not_share_what_reaches_above_six() -> None:
    class Sixes(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.two, self.last = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1), nn.Conv2d(8, 4, 1)

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.last(torch.cat([F.relu6(self.one(x)), self.two(x).relu()], 1))
            return result

    leaders, _ = placed(Sixes, rules("host"))
    assert "conv2d" in leaders
    assert "conv2d_1" not in leaders
