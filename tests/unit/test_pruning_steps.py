"""Pruning in steps, to a file's size, and around protected layers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import get_args
from unittest.mock import Mock

import contexts
import pytest
import torch
from forms import FORMS, HARD_CODED, INPUTS, SHAPE, form
from keep_sets import random_removal
from small_networks import Residual, model_of
from torch import nn

from edgekit.checkpoint import save_model
from edgekit.data import load_data
from edgekit.errors import BudgetError, InputError
from edgekit.graph.channels import channel_graph
from edgekit.graph.cost import cost
from edgekit.graph.counters import counter_of
from edgekit.graph.protection import protect
from edgekit.graph.smaller import smaller_graph
from edgekit.graph.surgery import remove_channels
from edgekit.graph.trace import trace
from edgekit.model import Model, Quantization
from edgekit.pipeline.loading import load, open_network
from edgekit.pipeline.pruning import prune as prune_network
from edgekit.progress import Silent
from edgekit.recipe import Criterion, PruneOptions, Recipe, Resource
from edgekit.stages import Context, RejectedError, stage
from edgekit.stages.pruning import Ranking, figures, prune
from edgekit.target import load_target

INT8 = Quantization(
    rules=load_target("host").int8,
    method="ptq",
    activations={},
    calibration_samples=1,
    calibration_sha256="0" * 64,
)


def context(model: Model) -> Context:
    return contexts.context(model, load_data(None, input_size=32), file_bytes=file_bytes)


def file_bytes(model: Model) -> int:
    """A file of all parameters, norms included, and some text for each layer: weights are not all of it."""
    parameters = list(model.module.parameters())
    return 4 * sum(value.numel() for value in parameters) + sum(len(str(value.shape)) for value in parameters)


@pytest.mark.parametrize("name", sorted(set(FORMS) - HARD_CODED))
def test_a_smaller_network_is_known_without_another_export(name: str) -> None:
    module, shapes = form(name), INPUTS.get(name, (SHAPE,))
    channels = channel_graph(trace(module, *shapes))
    removed = random_removal(channels, seed=3)
    once = remove_channels(module, channels, removed).module
    smaller, exported = smaller_graph(module, channels, removed), channel_graph(trace(once, *shapes))
    widths = [{name: len(own) for name, own in found.producers().items()} for found in (smaller, exported)]
    assert widths[0] == widths[1]
    for resource in get_args(Resource):
        counts = [counter_of(resource, found, once)() for found in (smaller, exported)]
        assert counts[0] == counts[1], resource
    again = random_removal(smaller, seed=5)
    if len(again):
        assert remove_channels(once, smaller, again).difference <= 1e-12


def test_steps_reach_the_budget_with_one_event_and_a_proof_each(monkeypatch: pytest.MonkeyPatch) -> None:
    model = model_of(Residual)
    exported = Mock(side_effect=trace)
    monkeypatch.setattr("edgekit.stages.prune.trace", exported)
    options = PruneOptions(kind="prune", macs=0.5, steps=2, epochs_between=1, scope="global", samples=32)
    pruned = stage(options).apply(model, context(model))
    before, after = (figures(cost(each.module, model.input_shape))["macs"] for each in (model, pruned))
    assert 0.4 * before < after <= 0.5 * before
    [event] = pruned.lineage
    assert (event.details["macs_before"], event.details["macs_after"]) == (before, after)
    assert str(event.details["steps"]).startswith("['step 1: ")
    assert "masked difference" in str(event.details["steps"])
    channels = channel_graph(trace(model.module, model.input_shape))
    every = sum(len(group.classes) for group in channels.groups)
    assert event.summary == f"{event.details['channels_removed']} channels of {every} removed in 2 steps"
    left = channel_graph(trace(pruned.module, model.input_shape))
    assert event.details["channels_removed"] == every - sum(len(group.classes) for group in left.groups)
    assert float(str(event.details["masked_difference"])) <= 1e-9
    assert exported.call_count == 1


@pytest.mark.parametrize("criterion", ["l1", "batch-norm-scale", "taylor", "reconstruction"])
def test_every_criterion_prunes_to_the_budget_and_does_so_again(criterion: Criterion) -> None:
    model = model_of(Residual)
    options = PruneOptions(kind="prune", macs=0.6, criterion=criterion, samples=32)
    one, two = (stage(options).apply(model, context(model)) for _ in range(2))
    assert figures(cost(one.module, model.input_shape))["macs"] <= one.lineage[0].details["macs_allowed"]  # type: ignore[operator]
    values = zip(one.module.parameters(), two.module.parameters(), strict=True)
    assert all(torch.equal(first, second) for first, second in values)


def test_a_size_is_that_of_the_file_that_is_made() -> None:
    model = model_of(Residual)
    allowed = int(0.6 * file_bytes(model))
    pruned = prune(model, allowed={"size": allowed}, multiple=1, ranking=Ranking(), file_bytes=file_bytes)
    made = file_bytes(pruned.model)
    assert made <= allowed < made + 2 * pruned.choice.step["size"]
    with pytest.raises(BudgetError, match="pruning cannot reach a file of 100 B") as error:
        prune(model, allowed={"size": 100}, multiple=1, ranking=Ranking(), file_bytes=file_bytes)
    least = int("".join(filter(str.isdigit, error.value.hint)))
    narrow = prune(model, allowed={"size": least}, multiple=1, ranking=Ranking(), file_bytes=file_bytes)
    assert file_bytes(narrow.model) <= least


def test_a_budget_that_is_kept_already_is_rejected_with_the_figures() -> None:
    model = model_of(Residual)
    with pytest.raises(RejectedError, match=r"nothing to remove: peak_memory [\d,]+ of [\d,]+ already"):
        stage(PruneOptions(kind="prune", peak_memory=1.0)).apply(model, context(model))


def test_protected_layers_keep_their_weights() -> None:
    model, name = model_of(Residual), "features.2.conv.0.0"
    macs = cost(model.module, model.input_shape).macs
    allowed: dict[Resource, int] = {"macs": int(0.7 * macs)}
    free = prune(model, allowed=allowed, multiple=1)
    assert free.model.module.get_parameter(f"{name}.weight").shape != (64, 16, 1, 1)
    kept = prune(model, allowed=allowed, multiple=1, ranking=Ranking(protected=(name,)))
    weights = [each.module.get_parameter(f"{name}.weight") for each in (model, kept.model)]
    assert torch.equal(*weights)
    reasons = {group.frozen for group in kept.channels.groups}
    assert reasons == {"", "network output", f"{name} is protected"}


def test_a_name_that_protects_nothing_is_refused() -> None:
    model = model_of(Residual)
    quiet = next(
        name
        for name, part in model.module.named_modules()
        if name and not list(part.parameters()) and not list(part.buffers())
    )
    with pytest.raises(InputError, match=f"{quiet} has no weights"):
        prune(model, allowed={"macs": 0}, multiple=1, ranking=Ranking(protected=(quiet,)))


def test_a_tied_layer_is_protected_under_both_names() -> None:
    square = [nn.Conv2d(8, 8, 1) for _ in range(2)]
    module = nn.Sequential(nn.Conv2d(3, 8, 1), square[0], nn.ReLU(), square[1], nn.Conv2d(8, 4, 1))
    square[1].weight, square[1].bias = square[0].weight, square[0].bias
    channels = channel_graph(trace(module, (1, 3, 8, 8)))
    frozen = [{group.frozen for group in protect(channels, module, (name,)).groups} for name in ("1", "3")]
    assert "1 is protected" in frozen[0]
    assert "3 is protected" in frozen[1]


def test_a_layer_that_is_not_there_is_named_with_its_neighbours() -> None:
    model = model_of(Residual)
    with pytest.raises(InputError, match=r"unknown layer 'features\.2\.conv\.0\.9'") as error:
        prune(model, allowed={"macs": 1}, multiple=1, ranking=Ranking(protected=("features.2.conv.0.9",)))
    assert "features.2.conv.0.0" in error.value.hint


def test_where_everything_is_protected_nothing_can_be_pruned() -> None:
    model = model_of(Residual)
    with pytest.raises(InputError, match="nothing can be pruned: features is protected"):
        prune(model, allowed={"macs": 1}, multiple=1, ranking=Ranking(protected=("features",)))


def test_budgets_that_conflict_are_refused() -> None:
    recipe = Recipe(id="x", title="x", stages=(PruneOptions(kind="prune", macs=0.5),))
    values = recipe.model_dump() | {"budget": {"macs": 0.4}}
    with pytest.raises(ValueError, match=r"two budgets conflict: pruning stops at macs = 0\.5, .* is 0\.4"):
        Recipe.model_validate(values)
    looser = Recipe.model_validate(values | {"budget": {"macs": 0.5}})
    assert looser.budget.macs == 0.5


def test_a_quantized_model_is_not_pruned() -> None:
    model = model_of(Residual)
    scaled = replace(model, quantization=INT8)
    with pytest.raises(RejectedError, match="it is quantized"):
        stage(PruneOptions(kind="prune", macs=0.5)).apply(scaled, context(model))


def test_a_finished_run_is_pruned_in_float(tmp_path: Path) -> None:
    network = open_network(
        "mobilenetv2",
        factory=None,
        factory_arg=(),
        task=None,
        weights=None,
        input_size=(32, 32),
        width=0.5,
    )
    save_model(replace(network, quantization=INT8), tmp_path / "run")
    told = Mock(spec=Silent)
    options = PruneOptions(kind="prune", macs=0.8, criterion="l2")
    prune_network(tmp_path / "run", options=options, out=tmp_path / "out", progress=told)
    assert load(tmp_path / "out").precision == "fp32"
    assert "its scales are dropped" in str(told.say.call_args_list)
