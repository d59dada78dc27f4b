"""`package.module:factory`, `timm:` and `torchvision:`: found, called, and refused with the user's own line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from own_networks import line_of, own_module

from edgekit.checkpoint import load_model, save_model
from edgekit.errors import InputError, MissingError
from edgekit.model import Model
from edgekit.pipeline.network import new_model, preprocessing_of
from edgekit.zoo import architecture, build, factory
from edgekit.zoo.factory import parse_arguments
from edgekit.zoo.weights import load_weights


@pytest.fixture
def nets(tmp_path: Path) -> Iterator[str]:
    with own_module(tmp_path) as name:
        yield name


def model_of(name: str, *arguments: str, classes: int | None = 10, tried: int = 2) -> Model:
    found = architecture(name, arguments)
    return new_model(found, preprocessing_of(found, 32), num_classes=classes, tried=tried)


def test_arguments_are_literals_or_text() -> None:
    words = ("a=3", "b=1.5", "c=[1, (2, 3)]", "d=True", "e=None", "f=resnet", "g='3'", "h=", "i=a=b")
    assert parse_arguments(words) == {
        "a": 3,
        "b": 1.5,
        "c": [1, [2, 3]],
        "d": True,
        "e": None,
        "f": "resnet",
        "g": "3",
        "h": "",
        "i": "a=b",
    }


@pytest.mark.parametrize("word", ["depth", "=3", "a b=3", "x={1, 2}", "x=b'1'", "x=1e999"])
def test_arguments_that_cannot_be_written_down_are_refused(word: str) -> None:
    with pytest.raises(InputError, match="--factory-arg"):
        parse_arguments([word])


def test_an_argument_is_given_once() -> None:
    with pytest.raises(InputError, match="twice"):
        parse_arguments(["a=1", "a=2"])


def test_a_factory_gets_what_it_takes(nets: str) -> None:
    model = model_of(f"{nets}:tiny", "depth=2", classes=4)
    assert model.module(torch.zeros(3, 3, 32, 32)).shape == (3, 4)
    assert model.source.arguments == {"depth": 2}
    assert model.name == "tiny"
    grey = model_of(f"{nets}:Tiny", "in_channels=1")
    assert grey.input_shape == (1, 1, 32, 32)
    assert model_of(f"{nets}:Tiny", "num_classes=4", classes=None).source.num_classes == 4


def test_classes_are_counted_where_the_factory_is_not_asked(nets: str) -> None:
    assert model_of(f"{nets}:seven", classes=None).source.num_classes == 7
    with pytest.raises(InputError, match="has 7 classes, and 10 are needed"):
        model_of(f"{nets}:seven")


@pytest.mark.parametrize(
    ("attribute", "arguments", "said"),
    [
        ("tinny", (), "tiny"),
        ("answer", (), "is a int, no factory"),
        ("tiny", ("dept=2",), "did you mean depth?"),
        ("needs", (), "--factory-arg size=..."),
        ("no_network", (), "gave a dict, no torch.nn.Module"),
        ("Pair", (), "gives a value of type tuple for an input of (2, 3, 32, 32), not (2, classes)"),
        ("Map", (), "gives (2, 32, 8, 8)"),
        ("leaving", (), "SystemExit: 3"),
    ],
)
def test_what_is_wrong_is_said(nets: str, attribute: str, arguments: tuple[str, ...], said: str) -> None:
    with pytest.raises(InputError) as refused:
        model_of(f"{nets}:{attribute}", *arguments)
    assert said in str(refused.value)


def test_an_error_in_the_factory_names_its_line(nets: str) -> None:
    with pytest.raises(InputError) as refused:
        model_of(f"{nets}:broken")
    line = line_of("raise ValueError")
    assert "ValueError: no weights" in refused.value.what
    assert f"at {nets}.py:{line}, in broken: raise ValueError" in refused.value.what


@pytest.mark.parametrize(
    ("attribute", "code"), [("Branching", "if y.sum() > 0"), ("Numpy", "return torch.tensor(super")]
)
def test_a_network_that_cannot_be_exported_names_its_own_line(
    nets: str, attribute: str, code: str, capfd: pytest.CaptureFixture[str]
) -> None:
    from edgekit.graph.cost import cost
    from edgekit.quantizer.fold import folded_graph

    model = model_of(f"{nets}:{attribute}")
    for export in (
        lambda: cost(model.module, model.input_shape),
        lambda: folded_graph(model, any_batch=True),
    ):
        with pytest.raises(InputError) as refused:
            export()
        assert f"at {nets}.py:{line_of(code)}, in forward: {code}" in refused.value.what
    assert capfd.readouterr().err == ""  # torch prints the graph so far, and advice


def test_a_network_for_one_picture_names_the_line_that_bakes_it_in(nets: str) -> None:
    assert model_of(f"{nets}:Baked", tried=1).source.num_classes == 10
    with pytest.raises(InputError) as refused:
        model_of(f"{nets}:Baked")
    assert f"{nets}.py:{line_of('.view(1, 10)')}" in refused.value.what


def test_modules_that_are_missing_or_fail(nets: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="unknown module 'own_network") as refused:
        architecture(f"{nets[:-1]}x:tiny")
    assert nets in refused.value.hint
    (tmp_path / "imports_more.py").write_text("import os\nimport not_there_at_all\n")
    with pytest.raises(InputError, match="not_there_at_all") as refused:
        architecture("imports_more:tiny")
    assert "imports_more.py:2" in refused.value.what
    (tmp_path / "misspelt.py").write_text("x = 1\ndef f(:\n")
    with pytest.raises(InputError, match=r"misspelt.py:2: def f\(:"):
        architecture("misspelt:f")


def test_the_current_folder_hides_no_package_afterwards(nets: str) -> None:
    before = list(sys.path)
    model_of(f"{nets}:tiny")
    assert sys.path == before


def test_weights_load_by_the_networks_own_keys(nets: str, tmp_path: Path) -> None:
    torch.manual_seed(1)
    source = model_of(f"{nets}:tiny").source
    trained, path = build(source), tmp_path / "w.pth"
    torch.save({"model": {f"module.{key}": value for key, value in trained.state_dict().items()}}, path)
    module = build(source)
    assert not load_weights(module, path, source).head_replaced
    assert all(torch.equal(value, trained.state_dict()[key]) for key, value in module.state_dict().items())
    four = source.model_copy(update={"num_classes": 4})
    assert load_weights(build(four), path, four).head_replaced


def test_a_checkpoint_calls_only_code_that_was_named(
    nets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(f"{nets}:tiny", "depth=2")
    save_model(model, tmp_path / "kept")
    assert load_model(tmp_path / "kept").source == model.source
    monkeypatch.setattr(factory, "_FACTORIES", {})
    with pytest.raises(InputError, match="code that was not named here") as refused:
        load_model(tmp_path / "kept")
    assert f"--factory {nets}:tiny" in refused.value.hint


FAKES = {
    "timm": """
from torch import nn
def list_models(): return ["resnet18", "mobilenetv3_small_100"]
def create_model(name, pretrained, num_classes, in_chans, depth=1):
    assert not pretrained
    return nn.Sequential(nn.Conv2d(in_chans, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes))
""",
    "torchvision": """
from torch import nn
def list_models(): return ["resnet18", "fcn_resnet50"]
def get_model_builder(name): return globals()[name]
def fcn_resnet50(*, weights=None, progress=True, num_classes=None, weights_backbone="IMAGENET1K_V1", **kwargs):
    assert weights is weights_backbone is None
    return nn.Conv2d(3, num_classes, 1)
def resnet18(*, weights="DEFAULT", progress=True, num_classes):
    assert weights is None
    return nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, num_classes))
""",
}


@pytest.fixture(params=sorted(FAKES))
def library(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    name: str = request.param
    (tmp_path / name).mkdir()
    (tmp_path / name / "__init__.py").write_text(FAKES[name] if name == "timm" else "")
    (tmp_path / name / "models.py").write_text(FAKES[name])
    monkeypatch.syspath_prepend(tmp_path)
    hidden = {key: value for key, value in sys.modules.items() if key.partition(".")[0] == name}
    for key in hidden:
        del sys.modules[key]
    yield name
    for key in [key for key in sys.modules if key.partition(".")[0] == name]:
        del sys.modules[key]
    sys.modules.update(hidden)


def test_a_librarys_network_is_built_without_its_weights(library: str) -> None:
    model = model_of(f"{library}:resnet18", classes=5)
    assert model.module(torch.zeros(1, 3, 32, 32)).shape == (1, 5)
    assert model.source.name == f"{library}:resnet18"
    with pytest.raises(InputError, match="resnet81") as refused:
        architecture(f"{library}:resnet81")
    assert "resnet18" in refused.value.hint
    for argument in ("pretrained=True", "weights=DEFAULT"):
        with pytest.raises(InputError, match="takes no"):
            architecture(f"{library}:resnet18", [argument])
    with pytest.raises(InputError, match="TypeError"):
        model_of(f"{library}:resnet18", "wdth=3")


@pytest.mark.parametrize("library", ["torchvision"], indirect=True)
def test_no_backbones_weights_are_fetched(library: str) -> None:
    found = architecture(f"{library}:fcn_resnet50", task="segmentation")
    model = new_model(found, preprocessing_of(found, 32), num_classes=4)
    assert model.module(torch.zeros(1, 3, 32, 32)).shape == (1, 4, 32, 32)


@pytest.mark.parametrize("library", ["timm", "torchvision"])
def test_a_library_that_is_missing_names_its_extra(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (library, f"{library}.models"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(MissingError) as missing:
        architecture(f"{library}:resnet18")
    assert missing.value.hint == f"pip install 'edgekit[{library}]'"


@pytest.mark.parametrize(
    ("name", "said"),
    [("mobilenetv", "mobilenetv2"), ("w.pth", "give --weights w.pth"), ("a b:c", "package.module:factory")],
)
def test_other_names(name: str, said: str) -> None:
    with pytest.raises(InputError) as refused:
        architecture(name)
    assert said in str(refused.value)


def test_a_zoo_network_takes_no_arguments_and_no_other_task() -> None:
    with pytest.raises(InputError, match="takes no --factory-arg"):
        architecture("mobilenetv2", ["a=1"])
    with pytest.raises(InputError, match="is for classification"):
        architecture("mobilenetv2", task="segmentation")


def test_only_families_have_widths(nets: str) -> None:
    with pytest.raises(InputError, match="no width multiplier"):
        architecture(f"{nets}:tiny").source(num_classes=10, in_channels=3, width=0.5)


def test_a_network_for_masks_gives_them_as_large_as_the_pictures(nets: str) -> None:
    found = architecture(f"{nets}:Masks", task="segmentation")
    model = new_model(found, preprocessing_of(found, 32))
    assert (model.task, model.source.num_classes) == ("segmentation", 1)
    for attribute in ("Map", "Tiny"):
        found = architecture(f"{nets}:{attribute}", task="segmentation")
        with pytest.raises(InputError, match=r"not \(1, classes, 32, 32\)"):
            new_model(found, preprocessing_of(found, 32))
