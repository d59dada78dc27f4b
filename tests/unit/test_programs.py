"""`.pt2` files: read without unpickling or executing anything, refused where that cannot be."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path
from typing import Any

import pytest
import torch
from own_networks import save_program
from program_files import rewritten, with_graph
from small_networks import Gated, Residual, Shuffled
from torch import Tensor, fx, nn

from edgekit.checkpoint import PROGRAM, load_model, save_model
from edgekit.errors import InputError
from edgekit.graph.cost import cost
from edgekit.graph.refit import refit, set_tensor
from edgekit.model import Model
from edgekit.pipeline.network import new_model, preprocessing_of
from edgekit.zoo import architecture
from edgekit.zoo.program_file import CONSTANTS, EXAMPLE, GRAPH, WEIGHTS, vet_program


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_program(tmp_path_factory.mktemp("program") / "net.pt2")


def model_of(path: Path, tried: int = 2) -> Model:
    found = architecture(str(path))
    return new_model(found, preprocessing_of(found, None), tried=tried)


@pytest.mark.parametrize("network", [Residual, Shuffled, Gated])
def test_a_program_gives_what_the_network_gave(network: type[nn.Module], tmp_path: Path) -> None:
    path = save_program(tmp_path / "net.pt2", own := network().eval())
    model, images = model_of(path), torch.randn(5, 3, 32, 32)
    with torch.no_grad():
        assert torch.equal(model.module(images), own(images))
    assert model.module.state_dict().keys() == own.state_dict().keys()
    assert model.input_shape == (1, 3, 32, 32)
    assert model.source.num_classes == 10
    assert cost(model.module, model.input_shape).macs == cost(own, model.input_shape).macs
    assert model.module.train().eval() is model.module


def test_a_program_for_one_picture_is_profiled_but_not_trained(tmp_path: Path) -> None:
    path = save_program(tmp_path / "net.pt2", Shuffled(), batch=False)
    assert cost(model_of(path, tried=1).module, (1, 3, 32, 32)).macs > 0
    with pytest.raises(InputError, match="failed on an input of") as refused:
        model_of(path)
    assert "dynamic_shapes" in refused.value.hint


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.victim),)


def test_example_inputs_are_never_unpickled(plain: Path, tmp_path: Path) -> None:
    victim = tmp_path / "pwned"

    def attack(members: dict[str, bytes]) -> None:
        members[EXAMPLE] = pickle.dumps(Attack(victim))

    model_of(rewritten(plain, tmp_path / "evil.pt2", attack))
    assert not victim.exists()


@pytest.mark.parametrize("name", [f"{WEIGHTS}model.pt", f"{CONSTANTS}model.pt", f"{CONSTANTS}custom_obj_0",
                                  f"{CONSTANTS}opaque_obj_0", "data/aotinductor/model/a.so", f"{GRAPH}.py",
                                  "models/other.json"])  # fmt: skip
def test_members_that_may_be_code_are_refused(name: str, plain: Path, tmp_path: Path) -> None:
    victim = tmp_path / "pwned"
    path = rewritten(
        plain, tmp_path / "evil.pt2", lambda members: members.update({name: pickle.dumps(Attack(victim))})
    )
    with pytest.raises(InputError, match=r"is refused: it holds net/.*which may be code: it was not read"):
        architecture(str(path))
    assert not victim.exists()


@pytest.mark.parametrize(
    ("key", "value"), [("use_pickle", True), ("path_name", "custom_obj_0"), ("path_name", "../weight_0")]
)
def test_pickled_weights_are_refused(key: str, value: object, plain: Path, tmp_path: Path) -> None:
    def edit(members: dict[str, bytes]) -> None:
        name = f"{WEIGHTS}model_weights_config.json"
        config = json.loads(members[name])
        next(iter(config["config"].values()))[key] = value
        members[name] = json.dumps(config).encode()

    with pytest.raises(InputError, match="pickled or custom objects"):
        architecture(str(rewritten(plain, tmp_path / "evil.pt2", edit)))


class Two(Residual):
    def forward(self, x: Tensor) -> Any:
        return super().forward(x), x


def test_other_signatures_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not give one tensor alone"):
        architecture(str(save_program(tmp_path / "two.pt2", Two())))
    example = torch.zeros(2, 3, 32, 32)
    torch.export.save(torch.export.export(Residual().eval(), (), {"x": example}), tmp_path / "named.pt2")
    with pytest.raises(InputError, match="does not take one tensor alone"):
        architecture(str(tmp_path / "named.pt2"))
    torch.export.save(torch.export.export(Residual().train(), (example,)), tmp_path / "training.pt2")
    with pytest.raises(InputError, match="in training mode"):
        architecture(str(tmp_path / "training.pt2"))


def test_damaged_files_are_refused(plain: Path, tmp_path: Path) -> None:
    content, path = plain.read_bytes(), tmp_path / "half.pt2"
    for part in (b"", content[: len(content) // 2], b"<html>", content[:-30]):
        path.write_bytes(part)
        with pytest.raises(InputError, match=r"no whole \.pt2 file|is refused"):
            architecture(str(path))
    for change in (dict.clear, lambda graph: graph["graph_module"].pop("signature")):
        with pytest.raises(InputError, match="is damaged"):
            architecture(str(with_graph(plain, path, change)))
    with pytest.raises(InputError, match="is missing"):
        architecture(str(tmp_path / "nowhere.pt2"))
    with pytest.raises(InputError, match=r"holds no models/model\.json"):
        architecture(str(rewritten(plain, path, lambda members: members.__delitem__(GRAPH))))


def test_compressed_members_are_refused(plain: Path, tmp_path: Path) -> None:
    path = tmp_path / "packed.pt2"
    with zipfile.ZipFile(plain) as archive, zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as packed:
        for name in archive.namelist():
            packed.writestr(name, archive.read(name))
    with pytest.raises(InputError, match="is not stored as"):
        vet_program(path)


def test_another_size_than_it_was_exported_for_is_refused(plain: Path) -> None:
    found = architecture(str(plain))
    with pytest.raises(InputError, match="pictures of 3×32×32"):
        new_model(found, preprocessing_of(found, 64))


def test_a_checkpoint_brings_its_program(
    plain: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = model_of(plain)
    with torch.no_grad():
        next(model.module.parameters()).fill_(0.5)
    save_model(model, tmp_path / "kept")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "another machine"))
    loaded, images = load_model(tmp_path / "kept"), torch.randn(3, 3, 32, 32)
    assert torch.equal(loaded.module(images), model.module(images))
    (tmp_path / "kept" / PROGRAM).write_bytes(b"another")
    with pytest.raises(InputError, match="not the file that the run was made with"):
        load_model(tmp_path / "kept")


def test_depthwise_groups_follow_the_weights(plain: Path) -> None:
    graph = model_of(plain).module
    assert isinstance(graph, fx.GraphModule)
    narrow = {"features.1.conv.0.0": 0, "features.1.conv.1.0": 0, "features.1.conv.2.0": 1}
    for layer, axis in narrow.items():
        name = f"{layer}.weight"
        set_tensor(graph, name, graph.get_parameter(name).narrow(axis, 0, 16))
    for norm in ("features.1.conv.0.1", "features.1.conv.1.1"):
        for part in ("weight", "bias", "running_mean", "running_var"):
            value = graph.state_dict()[f"{norm}.{part}"]
            set_tensor(graph, f"{norm}.{part}", value[:16])
    refit(graph)
    assert graph(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
    refit(graph)
    assert graph(torch.zeros(2, 3, 32, 32)).shape == (2, 10)
