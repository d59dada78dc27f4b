"""Scales of tensors that PyTorch does not have, on graphs written by hand."""

from __future__ import annotations

import numpy as np
import pytest

from edgekit.errors import EdgekitError, InputError
from edgekit.exporters.litert_graph import Graph, Operator, Tensor
from edgekit.exporters.litert_scales import resolve_scales
from edgekit.exporters.litert_verify import verify_scales
from edgekit.model import ActivationScale

FINE = ActivationScale(scale=0.01, zero_point=3)
COARSE = ActivationScale(scale=0.2, zero_point=-7)


def activation(index: int, dtype: str = "FLOAT32", *, scale: ActivationScale | None = None) -> Tensor:
    """A tensor of four numbers named `t<index>`."""
    scales, zeros = ((scale.scale,), (scale.zero_point,)) if scale else ((), ())
    return Tensor(index, f"t{index}", (1, 4), dtype, scales, zeros, None)


def constant(index: int, *values: float) -> Tensor:
    """A float constant."""
    return Tensor(index, f"c{index}", (len(values),), "FLOAT32", (), (), np.array(values, np.float32))


def graph(tensors: list[Tensor], *operators: tuple[str, tuple[int, ...], int]) -> Graph:
    """A chain that starts at tensor 0 and ends at the last operator's output."""
    made = tuple(Operator(kind, inputs, (output,), "NONE") for kind, inputs, output in operators)
    return Graph(tuple(tensors), made, (0,), made[-1].outputs)


def resolve(chain: Graph, **recorded: ActivationScale) -> tuple[dict[int, ActivationScale], list[str]]:
    """Scales where tensor n is PyTorch's node `t<n>` if that has a scale, and nothing otherwise."""
    nodes = {tensor.index: (tensor.name,) if tensor.name in recorded else () for tensor in chain.activations}
    found = resolve_scales(chain, nodes, recorded)
    return found.of, found.notes


def test_moved_values_keep_their_scale() -> None:
    tensors = [activation(0), activation(1), activation(2)]
    chain = graph(tensors, ("PAD", (0,), 1), ("TRANSPOSE", (1,), 2))
    assert resolve(chain, t0=FINE) == ({0: FINE, 1: FINE, 2: FINE}, [])


def test_scale_of_moved_values_is_the_scale_before() -> None:
    chain = graph([activation(0), activation(1)], ("RESHAPE", (0,), 1))
    assert resolve(chain, t1=COARSE)[0] == {0: COARSE, 1: COARSE}


def test_constant_factor_scales_the_scale_in_both_directions() -> None:
    tensors = [activation(0), activation(1), constant(2, 4.0)]
    chain = graph(tensors, ("MUL", (0, 2), 1))
    assert resolve(chain, t0=FINE)[0][1] == ActivationScale(scale=0.04, zero_point=3)
    assert resolve(chain, t1=FINE)[0][0] == ActivationScale(scale=0.0025, zero_point=3)


@pytest.mark.parametrize("factors", [(-4.0,), (0.0,), (1.0, 2.0)])
def test_factor_that_would_need_another_grid_gives_no_scale(factors: tuple[float, ...]) -> None:
    chain = graph([activation(0), activation(1), constant(2, *factors)], ("MUL", (0, 2), 1))
    assert resolve(chain, t0=FINE)[0] == {0: FINE}


def test_input_of_a_clamp_saturates_where_the_clamp_cuts() -> None:
    chain = graph([activation(0), activation(1)], ("RELU6", (0,), 1))
    assert resolve(chain, t1=COARSE)[0][0] == COARSE


def test_kernel_that_keeps_its_scale_wins_over_the_recorded_one_and_says_so() -> None:
    chain = graph([activation(0), activation(1)], ("AVERAGE_POOL_2D", (0,), 1))
    scales, notes = resolve(chain, t0=FINE, t1=COARSE)
    assert scales == {0: FINE, 1: FINE}
    assert notes == [
        "AVERAGE_POOL_2D t1: its kernel demands scale 0.01, zero point 3; in PyTorch 0.2, -7",
    ]


def test_sigmoid_has_the_grid_of_its_kernel() -> None:
    chain = graph([activation(0), activation(1)], ("LOGISTIC", (0,), 1))
    assert resolve(chain, t0=FINE)[0][1] == ActivationScale(scale=1 / 256, zero_point=-128)


def test_concatenated_parts_without_a_scale_get_the_whole_ones() -> None:
    tensors = [activation(0), activation(1), activation(2)]
    chain = graph(tensors, ("RELU", (0,), 1), ("CONCATENATION", (0, 1), 2))
    assert resolve(chain, t0=FINE, t2=COARSE)[0] == {0: FINE, 1: COARSE, 2: COARSE}


def test_operator_that_pytorch_computes_in_float_stays_float() -> None:
    tensors = [activation(0), activation(1), activation(2)]
    chain = graph(tensors, ("MEAN", (0,), 1), ("RSQRT", (1,), 2))
    assert resolve(chain, t0=FINE, t2=COARSE)[0] == {0: FINE, 2: COARSE}


def test_layer_without_a_scale_is_refused_by_the_tensors_name() -> None:
    chain = graph([activation(0), activation(1), constant(2, 1.0)], ("CONV_2D", (0, 2), 1))
    with pytest.raises(InputError, match=r"tensor t1 \[1, 4\] .* CONV_2D needs; .* corresponds to nothing"):
        resolve(chain, t0=FINE)


def test_scales_that_the_file_does_not_hold_are_named() -> None:
    chain = graph([activation(0, "INT8", scale=FINE), activation(1, "INT8", scale=COARSE)], ("ADD", (0,), 1))
    verify_scales(chain, {"t0": FINE, "t1": COARSE})
    with pytest.raises(EdgekitError, match="t1: "):
        verify_scales(chain, {"t0": FINE, "t1": FINE})
