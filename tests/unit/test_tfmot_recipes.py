"""TF-MOT's stages in recipes: options that cannot be, and what a model that went through one keeps."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from contexts import context
from small_networks import Twice, model_of

from edgekit.checkpoint import load_model, save_model
from edgekit.data import load_data
from edgekit.errors import InputError
from edgekit.model import Model
from edgekit.patterns import pattern_of
from edgekit.pipeline.network import new_model, preprocessing_of
from edgekit.recipe import TfmotPruneOptions, load_recipe, uses_tfmot
from edgekit.stages import RejectedError, stage
from edgekit.zoo import architecture

HEAD = 'id = "own"\ntitle = "own"\n[[stages]]\n'


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ('kind = "tfmot-prune"\nsparsity = 1.0', "sparsity: Input should be less than 1"),
        ('kind = "tfmot-prune"\npattern = "4:2"', "pattern"),
        ('kind = "tfmot-prune"\npattern = "2:4"\nsparsity = 0.5', "has no sparsity to choose"),
        ('kind = "tfmot-prune"\nepochs = 4\nend = 5', "from epoch 0 to 5, and training ends after 4"),
        ('kind = "tfmot-prune"\nepochs = 4\nbegin = 3\nend = 2', "from epoch 3 to 2"),
        ('kind = "tfmot-prune"\nclusters = 4', "clusters: no such key"),
        ('kind = "tfmot-cluster"\nclusters = 1', "clusters: Input should be greater than or equal to 2"),
    ],
)
def test_options_that_cannot_be(options: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "own.toml"
    path.write_text(HEAD + options + "\n")
    with pytest.raises(InputError, match=said):
        load_recipe(str(path))


def test_the_share_of_zeros_and_when_they_are_settled() -> None:
    plain = TfmotPruneOptions(kind="tfmot-prune", epochs=6)
    assert (plain.zeros, plain.settled) == (0.8, 4)
    assert TfmotPruneOptions(kind="tfmot-prune", pattern="1:4").zeros == 0.75


def test_recipes_that_come_with_it() -> None:
    for name in ("tfmot-sparse", "tfmot-cluster", "tfmot-qat"):
        assert all(map(uses_tfmot, load_recipe(name).stages))
    assert not any(map(uses_tfmot, load_recipe("prune-int8").stages))


def test_the_encoding_is_kept(tmp_path: Path) -> None:
    source = replace(small(), encoding="sparse", sparsity={"conv_stem": "unstructured@80%"})
    save_model(source, tmp_path)
    assert load_model(tmp_path).encoding == "sparse"


def test_unstructured_zeros_are_counted() -> None:
    weight = small().module.get_parameter("conv_stem.weight").detach().clone()
    assert not pattern_of("unstructured@80%").holds(weight.numpy())
    weight.flatten()[: int(0.8 * weight.numel())] = 0
    assert pattern_of("unstructured@80%").holds(weight.numpy())
    assert not pattern_of("unstructured@90%").holds(weight.numpy())


def test_without_labels_nothing_is_trained() -> None:
    data = replace(load_data(None, task="classification", input_size=32), labels=())
    with pytest.raises(RejectedError, match="no labelled pictures"):
        stage(TfmotPruneOptions(kind="tfmot-prune")).apply(small(), context(small(), data))


def test_a_layer_in_two_places_has_no_twin() -> None:
    data = load_data(None, task="classification", input_size=32)
    with pytest.raises(RejectedError, match=r"shared\.weight is used in two places"):
        stage(TfmotPruneOptions(kind="tfmot-prune")).apply(model_of(Twice), context(model_of(Twice), data))


def small() -> Model:
    found = architecture("mobilenetv1")
    return new_model(found, preprocessing_of(found, 32), num_classes=10, width=0.25)
