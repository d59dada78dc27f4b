"""The remade experiments of ShuffleNet V2: their networks differ in what a table varies, and not in MACs."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

from edgekit.graph.cost import cost


def load() -> ModuleType:
    path = Path(__file__).parents[2] / "benchmarks" / "guidelines.py"
    spec = importlib.util.spec_from_file_location("guidelines_benchmark", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # its dataclasses look there for their annotations
    spec.loader.exec_module(module)
    return module


BENCHMARK = load()


@pytest.mark.parametrize("table", BENCHMARK.TABLES, ids=lambda table: table.title)
def test_a_tables_networks_have_equal_macs(table: object) -> None:
    costs = []
    for variant in table.variants:  # type: ignore[attr-defined]
        model = BENCHMARK.network(variant, 2, 8)
        costs.append(cost(model.module, model.input_shape))
    macs = [spent.macs for spent in costs]
    assert max(macs) <= 1.06 * min(macs)  # the paper rounds widths
    moved = [spent.memory_access_bytes for spent in costs]
    if not table.title.startswith("4"):  # type: ignore[attr-defined]
        assert moved[0] == min(moved)  # what the paper finds fastest moves least
    assert len(set(moved)) > 1


def test_agreement_is_one_where_the_order_is_the_papers() -> None:
    assert BENCHMARK.agreement([1.0, 2.0, 3.0, 4.0]) == pytest.approx(1)
    assert BENCHMARK.agreement([4.0, 3.0, 2.0, 1.0]) == pytest.approx(-1)
