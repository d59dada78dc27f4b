"""Channels trained towards zero: which entries shrink, by how much, and that pruning them then costs nothing."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import Mock

import contexts
import pytest
import torch
from labelled_pictures import pictures
from small_networks import layer
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.graph.channels import channel_graph
from edgekit.graph.cost import cost
from edgekit.graph.trace import trace
from edgekit.model import Model, Preprocessing, Source
from edgekit.recipe import PruneOptions, SparsifyOptions, load_recipe
from edgekit.stages import Context, RejectedError
from edgekit.stages.pruning import prune
from edgekit.stages.shrinkage import GroupLasso, Groups
from edgekit.stages.sparsify import Sparsify


class Net(nn.Module):
    """Two layers and a head; `normed` puts batch norms behind the layers."""

    def __init__(self, *, normed: bool = True) -> None:
        super().__init__()
        plain = nn.Sequential(
            nn.Conv2d(3, 16, 3, padding=1), nn.ReLU(), nn.Conv2d(16, 16, 3, padding=1), nn.ReLU()
        )
        self.body = (
            nn.Sequential(layer(3, 16, 3, act=nn.ReLU), layer(16, 16, 3, act=nn.ReLU)) if normed else plain
        )
        self.head = nn.Linear(16, 2)

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.head(self.body(x).mean((2, 3)))
        return logits


def model(*, normed: bool = True) -> Model:
    torch.manual_seed(0)
    return Model(
        name="net",
        module=Net(normed=normed).eval(),
        input_shape=(1, 3, 8, 8),
        task="classification",
        preprocessing=Preprocessing(height=8, width=8, mean=(0.5,) * 3, std=(0.5,) * 3),
        labels=("a", "b"),
        source=Source(name="test", num_classes=2),
    )


def context(baseline: Model, macs: float = 0.5) -> Context:
    return contexts.context(baseline, pictures(16), next_prune=PruneOptions(kind="prune", macs=macs))


def sparsified(start: Model, **options: object) -> Model:
    values = {"kind": "sparsify", "pattern": "channel", "epochs": 6, "batch_size": 4} | options
    return Sparsify(SparsifyOptions.model_validate(values)).apply(start, context(start))


def test_a_group_is_all_that_a_channel_has() -> None:
    module = model().module
    channels = channel_graph(trace(module, (1, 3, 8, 8)))
    found = channels.producers()["body.0.0.weight"]
    rows, columns = module.get_parameter("body.0.0.weight")[2], module.get_parameter("body.1.0.weight")[:, 2]
    scale, shift = module.get_parameter("body.0.1.weight")[2], module.get_parameter("body.0.1.bias")[2]
    parts = (rows, columns, scale, shift)
    expected = torch.cat([part.flatten() for part in parts]).norm()
    assert float(Groups(module, channels.slots, found[2:3]).norms()[0]) == pytest.approx(
        float(expected.detach())
    )


def test_the_penalty_takes_its_share_and_leaves_the_others_alone() -> None:
    module = model().module
    channels = channel_graph(trace(module, (1, 3, 8, 8)))
    names = channels.producers()["body.0.0.weight"]
    groups = Groups(module, channels.slots, names)
    before, untouched = groups.norms(), module.get_parameter("body.0.0.weight")[4:].detach().clone()
    marked = before * (torch.arange(len(names)) < 4)
    half = GroupLasso(groups, marked, 0.5)
    for step in range(10):
        half(step + 1, 10)
    assert torch.allclose(groups.norms()[:4], before[:4] / 2)
    whole = GroupLasso(groups, marked, 1.0)
    for step in range(10):
        whole(step + 1, 10)
    assert groups.norms()[:4].count_nonzero() == 0
    assert torch.equal(module.get_parameter("body.0.0.weight")[4:], untouched)


def test_what_is_pruned_was_zero_before() -> None:
    start = model()
    ready = sparsified(start)
    assert ready.lineage[-1].details["norm_share_after"] == 0
    pruned = prune(ready, allowed={"macs": cost(start.module, start.input_shape).macs // 2}, multiple=8).model
    images = torch.randn(2, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        same, changed = pruned.module(images), start.module(images)
        assert torch.allclose(same, ready.module(images), atol=1e-6)
        assert not torch.allclose(same, changed, atol=1e-3)


def test_the_same_seed_gives_the_same_weights() -> None:
    one, two = (sparsified(model()).module.state_dict() for _ in range(2))
    assert all(torch.equal(one[name], two[name]) for name in one)


def test_scales_of_batch_norms_are_cleared_where_they_are_smallest() -> None:
    ready = sparsified(model(), penalty="batch-norm")
    details = ready.lineage[-1].details
    assert isinstance(details["channels"], int)
    assert 0 < details["channels"] < 32
    assert (
        ready.module.get_parameter("body.0.1.weight").eq(0).any()
        or ready.module.get_parameter("body.1.1.weight").eq(0).any()
    )


def test_without_batch_norms_their_penalty_is_refused() -> None:
    with pytest.raises(RejectedError, match="no batch norm scales a channel"):
        sparsified(model(normed=False), penalty="batch-norm")
    assert sparsified(model(normed=False)).lineage[-1].details["norm_share_after"] == 0


@pytest.mark.parametrize("penalty", ["growing", "batch-norm"])
def test_a_budget_out_of_reach_is_rejected_before_training(
    penalty: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = Mock()
    monkeypatch.setattr("edgekit.stages.recover.train", trained)
    start = model()
    options = SparsifyOptions.model_validate({"kind": "sparsify", "pattern": "channel", "penalty": penalty})
    with pytest.raises(RejectedError, match="pruning cannot reach"):
        Sparsify(options).apply(start, context(start, macs=1e-6))
    trained.assert_not_called()


@pytest.mark.parametrize(
    ("stages", "said"),
    [
        ('[[stages]]\nkind = "sparsify"\npattern = "channel"\n', "without a prune behind it"),
        (
            '[[stages]]\nkind = "sparsify"\npattern = "2:4"\nepochs = 3\n',
            "epochs belong to training: give a schedule",
        ),
    ],
)
def test_recipes_that_mean_nothing_are_refused(stages: str, said: str, tmp_path: Path) -> None:
    path = tmp_path / "odd.toml"
    path.write_text(f'id = "odd"\ntitle = "odd"\n{stages}')
    with pytest.raises(InputError, match=said):
        load_recipe(str(path))
