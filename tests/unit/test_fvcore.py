"""Our counts beside fvcore's: equal on convolutions and linear layers, and where fvcore is wrong."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from edgekit.graph.cost import cost
from edgekit.model import Source
from edgekit.zoo import build
from edgekit.zoo.entries import CATALOGUE, ENTRIES, Entry

pytestmark = pytest.mark.filterwarnings("ignore")  # it drives torch's old tracer
WEIGHTED = ("conv", "linear", "addmm", "matmul")
CHEAP = [entry for entry in ENTRIES.validate_json(CATALOGUE.read_bytes()) if entry.macs < 400e6]


def counted(module: nn.Module, shape: tuple[int, ...]) -> dict[str, float]:
    from fvcore.nn import FlopCountAnalysis  # it warns when it is imported

    analysis = FlopCountAnalysis(module.eval(), (torch.zeros(shape),))
    return dict(analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).by_operator())


@pytest.mark.parametrize("entry", CHEAP, ids=lambda entry: entry.name)
def test_weighted_operators_agree(entry: Entry) -> None:
    found = counted(build(Source(name=entry.name, num_classes=entry.num_classes)), entry.input_shape)
    assert sum(found.get(name, 0) for name in WEIGHTED) == entry.macs
    # Its total is larger: it adds normalisations, which fold away, and poolings, which multiply nothing.
    assert sum(found.values()) > entry.macs


def test_it_misses_fused_attention() -> None:
    class Attention(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.qkv = nn.Linear(8, 24)

        def forward(self, x: Tensor) -> Tensor:
            return F.scaled_dot_product_attention(*self.qkv(x).chunk(3, -1))

    network, shape = Attention(), (1, 16, 8)
    projection, products = 16 * 8 * 24, 2 * 16 * 16 * 8
    assert cost(network, shape).macs == projection + products
    assert sum(counted(network, shape).values()) == projection
