"""`sparsify`: which layers carry the pattern, which weights go, what it says of them, what it refuses."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from unittest.mock import Mock

import contexts
import pytest
import torch
from labelled_pictures import pictures
from small_networks import model_of
from torch import nn

from edgekit.errors import InputError
from edgekit.model import Model
from edgekit.patterns import density, pattern_of
from edgekit.pipeline import compress, resolve
from edgekit.recipe import SparsifyOptions, load_recipe
from edgekit.request import Request
from edgekit.stages import RejectedError
from edgekit.stages.sparsify import Sparsify
from edgekit.target import load_target


class Net(nn.Module):
    """A stem of three channels, a depthwise layer, a wide one and a head."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 3, padding=1)
        self.deep = nn.Sequential(nn.Conv2d(16, 16, 3, padding=1, groups=16), nn.BatchNorm2d(16), nn.ReLU())
        self.wide = nn.Conv2d(16, 32, 3, padding=1)
        self.head = nn.Linear(32, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.head(self.wide(self.deep(self.stem(x))).relu().mean((2, 3)))
        return logits


def sparsified(target: str = "host", **options: Any) -> tuple[Model, Model]:
    start = model_of(Net, side=8)
    context = contexts.context(start, pictures(32), target=load_target(target))
    given = SparsifyOptions.model_validate({"kind": "sparsify"} | options)
    return start, Sparsify(given).apply(start, context)


@pytest.mark.parametrize(
    ("options", "carried"),
    [
        ({"pattern": "2:4"}, {"wide", "head"}),
        ({"pattern": "unstructured", "sparsity": 0.75}, {"stem", "wide", "head"}),
        ({"pattern": "block-2x1", "sparsity": 0.5}, {"stem", "wide", "head"}),
        ({"pattern": "kernel-4"}, {"stem", "deep.0", "wide"}),
        ({"pattern": "kernel-4", "sparsity": 0.75}, {"stem", "wide"}),
        ({"pattern": "2:4", "layers": ("wide",)}, {"wide"}),
        ({"pattern": "kernel-4", "layers": ("deep",)}, {"deep.0"}),
    ],
)
@pytest.mark.parametrize("selection", ["magnitude", "taylor"])
def test_the_layers_that_can_carry_a_pattern_do(
    options: dict[str, Any], carried: set[str], selection: str
) -> None:
    start, sparse = sparsified(**options, selection=selection)
    details = sparse.lineage[-1].details
    assert set(sparse.sparsity) == set(details["layers"]) == carried  # type: ignore[arg-type]
    for layer, text in sparse.sparsity.items():
        assert pattern_of(text).holds(sparse.module.get_parameter(f"{layer}.weight").detach().numpy())
    others = {"stem", "deep.0", "wide", "head"} - carried
    assert set(details["without"]) == others  # type: ignore[arg-type]
    for layer in others:
        name = f"{layer}.weight"
        assert torch.equal(sparse.module.get_parameter(name), start.module.get_parameter(name))
    assert details["receptive_field"] == "7 × 7 → 7 × 7"


def test_taylor_and_magnitude_choose_differently() -> None:
    masks = [
        sparsified(pattern="2:4", selection=selection)[1].module.get_parameter("wide.weight") != 0
        for selection in ("magnitude", "taylor")
    ]
    assert 0.02 < float((masks[0] != masks[1]).float().mean()) < 0.6


def test_a_smaller_view_is_said() -> None:
    start = model_of(Net, side=8)
    with torch.no_grad():
        start.module.get_parameter("wide.weight")[..., 0].mul_(1e-3)
    context = contexts.context(start, pictures(32))
    options = SparsifyOptions(kind="sparsify", pattern="unstructured", sparsity=0.4)
    assert Sparsify(options).apply(start, context).lineage[-1].details["receptive_field"] == "7 × 7 → 7 × 6"


def test_zeros_that_come_with_training_are_there_at_its_end() -> None:
    start, sparse = sparsified(
        pattern="unstructured", sparsity=0.8, schedule="polynomial", epochs=4, every=2, batch_size=4
    )
    for layer in ("stem", "wide", "head"):
        weight = sparse.module.get_parameter(f"{layer}.weight")
        assert density(weight.detach().numpy()) == pytest.approx(0.2, abs=0.01)
        kept = weight != 0
        assert not torch.equal(weight[kept], start.module.get_parameter(f"{layer}.weight")[kept])


@pytest.mark.parametrize(
    ("target", "options", "exploited"),
    [
        ("jetson", {"pattern": "2:4"}, True),
        ("jetson", {"pattern": "1:4"}, False),
        ("intel-cpu", {"pattern": "2:4"}, False),
    ],
)
def test_what_the_target_cannot_use_is_said(target: str, options: dict[str, Any], exploited: bool) -> None:
    details = sparsified(target, **options)[1].lineage[-1].details
    assert details["target_exploits_it"] is exploited
    assert ("it can only save size" in str(details["note"])) is not exploited


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        ('pattern = "4:4"', "0 < N < M"),
        ('pattern = "5:4"', "0 < N < M"),
        ('pattern = "unstructured"', "no pattern is called 'unstructured'"),
        ('pattern = "unstructured"\nsparsity = 0.0', "greater than 0"),
        ('pattern = "unstructured"\nsparsity = 1.0', "less than 1"),
        ('pattern = "2:4"\nsparsity = 0.5', "no pattern is called '2:4@50%'"),
        ('pattern = "blocks"', "there are N:M"),
        ('pattern = "2:4"\nschedule = "polynomial"\nepochs = 4\nend = 5.0', "from epoch 0 to 5 of 4"),
        ('pattern = "2:4"\nschedule = "polynomial"\nbegin = 7.0', "from epoch 7 to 4 of 8"),
        ('pattern = "2:4"\nbegin = 2.0', "begin belong to a schedule"),
        ('pattern = "2:4"\nepochs = 3', "epochs belong to training"),
        ('pattern = "2:4"\npenalty = "batch-norm"', "penalty belong to pattern"),
        ('pattern = "2:4"\nselection = "tailor"', "taylor"),
    ],
)
def test_recipes_that_mean_nothing_are_refused(stage: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(f'id = "odd"\ntitle = "odd"\n[[stages]]\nkind = "sparsify"\n{stage}\n')
    with pytest.raises(InputError) as refused:
        load_recipe(str(path))
    assert said in f"{refused.value.what} {refused.value.hint}"


def test_a_network_that_does_not_live_through_it_is_rolled_back() -> None:
    with pytest.raises(RejectedError, match="no longer finite: unstructured@50% leaves too little"):
        sparsified(pattern="unstructured", sparsity=0.5, schedule="constant", epochs=4, learning_rate=1e30)


def test_a_layer_that_does_not_exist_is_refused_before_anything_is_trained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = Mock()
    monkeypatch.setattr("edgekit.pipeline.baseline.train", trained)
    path = tmp_path / "odd.toml"
    stage = '[[stages]]\nkind = "sparsify"\npattern = "2:4"\nlayers = ["features.17.conv.1.9"]\n'
    path.write_text(f'id = "odd"\ntitle = "odd"\n{stage}')
    request = Request("mobilenetv2", target="host", recipe=str(path), input_size=32, out=tmp_path / "run")
    with pytest.raises(InputError, match=r"unknown layer 'features\.17\.conv\.1\.9'") as refused:
        compress(resolve(request))
    assert "features.17.conv.1" in refused.value.hint
    trained.assert_not_called()
