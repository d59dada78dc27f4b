"""Feature distillation: pruned layers are held to the channels of their teacher that they still have."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import contexts
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from labelled_pictures import pictures
from small_networks import Gated, Residual, Shuffled, model_of
from torch import Tensor, nn

from edgekit.checkpoint import STRUCTURE, load_model, save_model
from edgekit.graph.channels import channel_graph
from edgekit.graph.cost import cost
from edgekit.graph.kept import indices_of, text_of
from edgekit.graph.trace import trace
from edgekit.model import Model, Source
from edgekit.recipe import PruneOptions, RecoverOptions
from edgekit.stages import RejectedError, stage
from edgekit.stages.features import Features, match_features, outputs_of
from edgekit.stages.pruning import prune
from edgekit.stages.shrinkage import Groups
from edgekit.zoo import build
from edgekit.zoo.program import built, exported

DATA = pictures(48)


def recovered(model: Model, baseline: Model, **options: Any) -> Model:
    how = RecoverOptions(kind="recover", batch_size=16, learning_rate=0.01, **options)
    return stage(how).apply(model, contexts.context(baseline, DATA))


def seen(model: Model, features: Features, images: Tensor) -> dict[str, Tensor]:
    with torch.no_grad(), outputs_of(model.module, features.matches) as found:
        model.module(images)
    return found


@pytest.fixture(scope="module")
def whole() -> Model:
    return model_of(Residual, side=8)


@pytest.fixture(scope="module")
def pruned(whole: Model) -> Model:
    options = PruneOptions(kind="prune", macs=0.6, steps=2, epochs_between=1, criterion="l2")
    return stage(options).apply(whole, contexts.context(whole, DATA))


@pytest.mark.parametrize("network", [Residual, Shuffled, Gated])
def test_a_pruned_layer_knows_its_channels_of_the_whole_network(network: type[nn.Module]) -> None:
    """A student that only lost channels of no weight has its teacher's own features, through two prunes."""
    start = model_of(network, side=16)
    module = copy.deepcopy(start.module)
    graph = channel_graph(trace(module, start.input_shape))
    free = [group.classes[::2] for group in graph.prunable if graph.touches_weights(group)]
    with torch.no_grad():  # what goes is zero, and nothing changes without it
        Groups(module, graph.slots, torch.cat(free)).scale(torch.zeros(sum(map(len, free))))
    teacher = replace(start, module=module.eval())
    once = prune(teacher, allowed={"macs": int(0.8 * macs(teacher))}, multiple=1).model
    twice = prune(once, allowed={"macs": int(0.65 * macs(teacher))}, multiple=1).model
    assert DATA.train is not None
    images = torch.randn(4, 3, 16, 16)
    assert torch.allclose(teacher.module(images), twice.module(images), atol=1e-4)
    features = match_features(twice.module, teacher.module, (twice.survivors, {}), images)
    own, theirs = seen(twice, features, images), seen(teacher, features, images)
    assert any(own[name].shape != theirs[name].shape for name in features.matches)
    assert float(features.loss(own, theirs)) < 1e-6
    for name, match in features.matches.items():
        assert own[name].shape[1] == len(match.channels)
        width = theirs[name].shape[1]
        turned = replace(match, channels=(match.channels + 1) % width)
        assert float(replace(features, matches={name: turned}).loss(own, theirs)) > 0.01


def macs(model: Model) -> int:
    return cost(model.module, model.input_shape).macs


def test_features_are_learnt(whole: Model, pruned: Model) -> None:
    images = torch.from_numpy(DATA.calibration.images(np.arange(32)))
    losses = []
    for weight in (0.0, 2.0):
        found = recovered(pruned, whole, features=weight, epochs=4)
        features = match_features(found.module, whole.module, (pruned.survivors, {}), images)
        losses.append(float(features.loss(seen(found, features, images), seen(whole, features, images))))
    assert losses[1] < 0.8 * losses[0]


def test_survivors_stay_with_a_model_on_disk(pruned: Model, tmp_path: Path) -> None:
    assert pruned.survivors
    for name, text in pruned.survivors.items():
        assert len(indices_of(text)) == len(pruned.module.get_parameter(name))
    source = Source(name="mobilenetv1", num_classes=10, width=0.25)
    small = model_of(lambda: build(source), side=32)
    small = prune(replace(small, source=source), allowed={"macs": macs(small) // 2}, multiple=1).model
    save_model(small, tmp_path)
    assert small.survivors
    assert load_model(tmp_path).survivors == small.survivors
    structure = json.loads((tmp_path / STRUCTURE).read_text())
    del structure["survivors"]  # as it was written before there were any
    (tmp_path / STRUCTURE).write_text(json.dumps(structure))
    assert load_model(tmp_path).survivors == {}


def test_channels_that_nobody_knows_are_not_matched(whole: Model, pruned: Model) -> None:
    lost = replace(pruned, survivors={})
    narrow = {
        name
        for name, value in pruned.module.named_parameters()
        if value.shape[0] != whole.module.get_parameter(name).shape[0]
    }
    images = torch.zeros(2, 3, 8, 8)
    images[0] = 1
    found = match_features(lost.module, whole.module, ({}, {}), images)
    assert not {f"{name}.weight" for name in found.matches} & narrow


def test_features_where_nothing_matches_are_rejected(whole: Model) -> None:
    other = model_of(Shuffled, side=8)
    with pytest.raises(RejectedError, match="features: no layer of the network is known"):
        recovered(whole, other, features=1.0)


def test_a_graph_has_no_layers_to_match(whole: Model) -> None:
    graph = replace(whole, module=built(exported(whole.module, (2, 3, 8, 8))))
    with pytest.raises(RejectedError, match="features: no layer of the network is known"):
        recovered(graph, graph, features=1.0, epochs=1)


@given(st.lists(st.integers(0, 50), unique=True))
def test_survivors_as_text(indices: list[int]) -> None:
    assert indices_of(text_of(indices)) == indices


def test_runs_are_short() -> None:
    assert text_of([0, 1, 2, 7, 9, 8]) == "0-2 7 9 8"
