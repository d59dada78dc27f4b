"""The texts in a `.pt2` file: read where they are harmless, refused where torch would execute them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from own_networks import save_program
from program_files import Graph, with_graph
from torch import Tensor, nn

from edgekit.checkpoint import load_model, save_model
from edgekit.errors import InputError
from edgekit.graph.cost import cost
from edgekit.model import Model
from edgekit.pipeline.network import new_model, preprocessing_of
from edgekit.zoo import architecture


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_program(tmp_path_factory.mktemp("program") / "net.pt2")


def model_of(path: Path) -> Model:
    found = architecture(str(path))
    return new_model(found, preprocessing_of(found, None), tried=2)


class Lettered(nn.Module):
    """Texts that are no names, and harmless: an equation, the key of a `ModuleDict`, a buffer's."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleDict({"a/b": nn.Conv2d(3, 6, 3), "c-d": nn.BatchNorm2d(6)})
        self.weight = nn.Parameter(torch.rand(10, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = torch.einsum("bchw, dc -> bdhw", self.layers["c-d"](self.layers["a/b"](x)), self.weight)
        return torch.einsum("b...->b", x[:, :1])[:, None] + torch.einsum("bdhw->bd", x)


def test_texts_that_are_no_names_are_read_where_they_are_not_executed(tmp_path: Path) -> None:
    model = model_of(save_program(tmp_path / "net.pt2", own := Lettered().eval()))
    images = torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.module(images), own(images))
    assert model.module.state_dict().keys() == own.state_dict().keys()
    assert cost(model.module, model.input_shape).macs == cost(own, model.input_shape).macs
    save_model(model, tmp_path / "kept")
    with torch.no_grad():
        assert torch.equal(load_model(tmp_path / "kept").module(images), own(images))


def _parameter(graph: Graph) -> Graph:
    found: Graph = graph["graph_module"]["signature"]["input_specs"][0]["parameter"]
    return found


@pytest.mark.parametrize(
    "text",
    ["a'b", 'a"b', "a\\b", "a\nb", "a;b", "a(b)", "a[b]", "a`b", "a{b}", "a:b", "a=b", "a#b", "a\x00b"],
)
def test_no_text_can_end_a_string_or_call(text: str, plain: Path, tmp_path: Path) -> None:
    for change in (
        lambda graph: _parameter(graph).update(parameter_name=text),
        lambda graph: _nodes(graph)[0]["inputs"].append({"name": "x", "arg": {"as_string": text}, "kind": 1}),
        lambda graph: _nodes(graph)[0].update(name=text),
    ):
        with pytest.raises(InputError, match="is no name"):
            architecture(str(with_graph(plain, tmp_path / "evil.pt2", change)))
    slash = with_graph(plain, tmp_path / "evil.pt2", lambda graph: _nodes(graph)[0].update(name="a/b"))
    with pytest.raises(InputError, match="is no name"):
        architecture(str(slash))


SIZE = "__import__('os').mkdir('pwned') or 1"


def _first_size(graph: Graph) -> Graph:
    values = graph["graph_module"]["graph"]["tensor_values"].values()
    size: Graph = next(size for value in values for size in value["sizes"] if "as_expr" in size)["as_expr"]
    return size


def _nodes(graph: Graph) -> list[Graph]:
    nodes: list[Graph] = graph["graph_module"]["graph"]["nodes"]
    return nodes


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda graph: _first_size(graph).update(expr_str=SIZE), "is no name"),
        (lambda graph: _first_size(graph).update(expr_str="Symbol('s0').func"), "is no name"),
        (lambda graph: _first_size(graph).update(expr_str="exit(1)"), "is no name"),
        (lambda graph: _nodes(graph)[0].update(target="torch.hub.load"), "'torch.hub.load', no operator"),
        (lambda graph: _nodes(graph)[0].update(target="torch.ops.aten.__dict__.clear"), "no operator"),
        (lambda graph: _nodes(graph)[0].update(target="torch.ops.aten.from_file.default"), "no operator"),
        (lambda graph: _nodes(graph)[0].update(name="x\n  import os"), "is no name"),
        (lambda graph: graph["graph_module"]["graph"]["tensor_values"].update({"x;y": {}}), "is no name"),
        (
            lambda graph: graph["graph_module"]["signature"]["input_specs"][0]["parameter"].update(
                parameter_name='a"b'
            ),
            "is no name",
        ),
    ],
)
def test_what_torch_would_execute_is_refused(
    change: Callable[[Graph], object],
    said: str,
    plain: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError) as refused:
        architecture(str(with_graph(plain, tmp_path / "evil.pt2", change)))
    assert said in refused.value.what
    assert not Path("pwned").exists()


def test_guards_and_metadata_are_dropped(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)

    def edit(graph: Graph) -> None:
        graph["guards_code"] = [SIZE]
        for node in _nodes(graph):
            node["metadata"] = {"source_fn_stack": "x,torch.hub.load"}

    model_of(with_graph(plain, tmp_path / "evil.pt2", edit))
    assert not Path("pwned").exists()
