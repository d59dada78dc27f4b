"""Masked equals pruned, at random keep-sets, on networks in all the forms that vision networks have."""

from __future__ import annotations

from functools import cache

import pytest
import torch
from forms import FORMS, HARD_CODED, INPUTS, SHAPE, form
from keep_sets import random_removal
from torch import fx, nn

from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.ladder import ladder
from edgekit.graph.surgery import remove_channels
from edgekit.graph.trace import trace

BLOCKS = ("first", "second", "third")
FROZEN = {
    # What must stay besides the outputs, by the layer that makes it.
    "pixel-shuffle": {"out.weight": "meets something without channels at add"},
    "swin-mlp": {
        f"{block}.spatial.weight": f"meets something without channels at {block}" for block in BLOCKS
    },
    "mixer": {
        "over_tokens.0.2.weight": "meets something without channels at add",
        "over_tokens.1.2.weight": "meets something without channels at add_2",
    },
}


@cache
def analysed(name: str) -> tuple[nn.Module, ChannelGraph]:
    module = form(name)
    return module, channel_graph(trace(module, *INPUTS.get(name, (SHAPE,))))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("name", FORMS)
def test_masked_equals_pruned(name: str, seed: int) -> None:
    module, channels = analysed(name)
    removed = random_removal(channels, seed)
    assert len(removed)
    pruned = remove_channels(module, channels, removed)
    assert pruned.difference <= 1e-12
    if name not in HARD_CODED:
        assert not pruned.rewritten
        assert type(pruned.module) is type(module)
    assert parameters(pruned.module) < parameters(module)


def parameters(module: nn.Module) -> int:
    return sum(value.numel() for value in module.parameters())


@pytest.mark.parametrize("name", FORMS)
def test_every_layer_can_be_narrowed_but_those_that_cannot(name: str) -> None:
    _, channels = analysed(name)
    frozen = {
        group.axes[0][0]: group.frozen
        for group in channels.groups
        if group.frozen not in ("", "network output") and channels.touches_weights(group)
    }
    assert frozen == FROZEN.get(name, {})
    for component in channels.components:
        if not channels.is_free(component):
            assert len(list(ladder(channels, component, 1))) > 1, channels.groups[component[0]].axes


def test_a_forward_with_sizes_in_it_is_replaced_by_its_graph() -> None:
    module, channels = analysed("hard-coded")
    pruned = remove_channels(module, channels, random_removal(channels, 0))
    assert isinstance(pruned.module, fx.GraphModule)
    assert pruned.rewritten.startswith("the forward of HardCoded holds sizes of its own: shape '[1, 16, 16]'")
    assert pruned.module(torch.zeros(SHAPE)).shape == (1, 5)


def test_a_chunk_that_is_gone_leaves_the_others_their_shifts() -> None:
    module, channels = analysed("unext")
    component = next(
        each
        for each in channels.components
        if not channels.is_free(each) and ("embed.weight", 0) in channels.groups[each[0]].axes
    )
    kept = {sum(rung.values()): sorted(rung.values()) for rung in ladder(channels, component, 1)}
    assert kept[20] == [4, 4, 4, 4, 4]
    assert kept[16] == [0, 4, 4, 4, 4]  # chunk(5) of 16 gives four
    names = torch.cat([channels.groups[index].classes for index in component])
    last = channels.consumers()["mlp.fc1.weight"][16:]
    assert set(last.tolist()) <= set(names.tolist())
    pruned = remove_channels(module, channels, last)
    assert pruned.module.get_submodule("mlp.fc1").in_features == 16
    assert not pruned.rewritten
