"""Recovery's options: each changes what it says, holds a pattern's zeros, and gives the same with the same seed."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import contexts
import numpy as np
import pytest
import torch
from labelled_pictures import pictures
from small_networks import Residual, model_of
from torch import Tensor, nn

from edgekit.cli.progress import shown
from edgekit.data.split import Chosen, Data, Images, Indices, Split
from edgekit.errors import InputError
from edgekit.metrics import Score
from edgekit.model import Model
from edgekit.progress import Silent
from edgekit.recipe import PruneOptions, RecoverOptions, SparsifyOptions, load_recipe
from edgekit.stages import RejectedError, judging, loop, passes, stage, training
from edgekit.stages.averaging import WeightAverage
from edgekit.stages.judging import held_out
from edgekit.stages.precision import Precision, precision

DATA = pictures(48)


def recovered(model: Model, baseline: Model, data: Data = DATA, **options: Any) -> Model:
    values = {"epochs": 2, "batch_size": 16, "learning_rate": 0.05} | options
    how = RecoverOptions(kind="recover", **values)
    return stage(how).apply(model, contexts.context(baseline, data))


def state(model: Model) -> dict[str, Tensor]:
    return model.module.state_dict()


def same(one: Model, two: Model) -> bool:
    return all(torch.equal(value, state(two)[name]) for name, value in state(one).items())


@pytest.fixture(scope="module")
def whole() -> Model:
    return model_of(Residual, side=8)


@pytest.fixture(scope="module")
def sparse(whole: Model) -> Model:
    return stage(SparsifyOptions(kind="sparsify", pattern="2:4")).apply(whole, contexts.context(whole, DATA))


@pytest.fixture(scope="module")
def pruned(whole: Model) -> Model:
    options = PruneOptions(kind="prune", macs=0.6, steps=2, epochs_between=1, criterion="l2")
    return stage(options).apply(whole, contexts.context(whole, DATA))


EACH: tuple[Mapping[str, Any], ...] = (
    {"schedule": "cosine"},
    {"warm_up": 1},
    {"schedule": "cosine", "warm_up": 0.5},
    {"ema": 0.8},
    {"held_out": 0.1},
    {"features": 1.0},
)


@pytest.mark.parametrize("options", EACH, ids=str)
def test_each_option_changes_the_result_and_a_seed_repeats_it(
    options: Mapping[str, Any], whole: Model, sparse: Model
) -> None:
    once = recovered(sparse, whole, **options)
    assert same(once, recovered(sparse, whole, **options))
    assert not same(once, recovered(sparse, whole))


HALVES = (torch.float16, torch.bfloat16)


def halved(half: torch.dtype | None) -> Any:
    return lambda _, device: Precision(device, half)


@pytest.mark.parametrize("half", [None, *HALVES], ids=str)
@pytest.mark.parametrize(
    "options", [{}, {"ema": 0.8}, {"held_out": 0.1}, {"ema": 0.8, "held_out": 0.1}], ids=str
)
def test_zeros_of_a_pattern_stay_zero(
    options: Mapping[str, Any],
    half: torch.dtype | None,
    whole: Model,
    sparse: Model,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if half:
        monkeypatch.setattr(loop, "precision", halved(half))
    found = recovered(sparse, whole, **options)
    assert found.sparsity
    for layer in found.sparsity:
        zeros = state(sparse)[f"{layer}.weight"] == 0
        weight = state(found)[f"{layer}.weight"]
        assert zeros.any()
        assert not weight[zeros].any()
        assert (weight[~zeros] != 0).float().mean() > 0.9


def test_half_precision_trains_nearly_the_same_float32_weights(
    whole: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = state(recovered(whole, whole))
    for half in HALVES:
        monkeypatch.setattr(loop, "precision", halved(half))
        found = state(recovered(whole, whole))
        differences = []
        for name, value in found.items():
            assert value.dtype == full[name].dtype
            if "weight" in name:
                moved = (full[name] - state(whole)[name]).norm()
                differences.append(float((value - full[name]).norm() / moved))
        assert 0 < float(np.median(differences)) < 0.5


def test_cpus_train_in_float32() -> None:
    assert precision("auto", "cpu") == Precision("cpu", None)
    assert precision("off", "cuda") == Precision("cuda", None)


@pytest.mark.parametrize(("native", "half"), [(True, torch.bfloat16), (False, torch.float16)])
def test_a_gpu_trains_in_the_half_that_it_has(
    native: bool, half: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: native)
    assert precision("auto", "cuda") == Precision("cuda", half)


def test_mixed_precision_changes_nothing_on_cpus(whole: Model) -> None:
    assert same(recovered(whole, whole), recovered(whole, whole, mixed_precision="auto"))


def test_an_average_is_the_one_that_was_asked_for() -> None:
    layer = nn.Linear(3, 2)
    average, expected = WeightAverage(layer, 0.9), None
    for _ in range(5):
        with torch.no_grad():
            layer.weight.add_(torch.randn(2, 3))
        average.update()
        now = layer.weight.detach().clone()
        expected = now if expected is None else 0.9 * expected + 0.1 * now
    assert expected is not None
    average.keep()
    assert torch.allclose(layer.weight, expected, atol=1e-6)


def told(monkeypatch: pytest.MonkeyPatch, accuracies: list[float]) -> list[dict[str, Tensor]]:
    """Epochs are told these accuracies; gives the weights that were judged, as they come."""
    seen: list[dict[str, Tensor]] = []

    def recalibrate(module: nn.Module, *rest: Any) -> None:
        passes.recalibrate(module, *rest)
        seen.append(copy.deepcopy(module.state_dict()))

    monkeypatch.setattr(judging, "score", lambda *_: Score(accuracies[len(seen) - 1]))
    monkeypatch.setattr(judging, "recalibrate", recalibrate)
    return seen


@pytest.mark.parametrize("ema", [None, 0.8])
def test_the_best_epoch_is_kept_and_patience_ends_a_training(
    ema: float | None, whole: Model, sparse: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = told(monkeypatch, [0.5, 0.7, 0.6, 0.7, 0.9])
    found = recovered(sparse, whole, epochs=5, ema=ema, held_out=0.1, patience=2)
    assert len(seen) == 4
    assert found.lineage[-1].details["epochs"] == 4
    assert found.lineage[-1].details["epoch_kept"] == 2
    assert found.lineage[-1].details["held_out_accuracy"] == 0.7
    kept = dict(found.module.named_parameters())
    assert all(torch.equal(value, seen[1][name]) for name, value in kept.items())
    assert any(not torch.equal(value, seen[3][name]) for name, value in kept.items())


def test_without_patience_all_epochs_run(whole: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = told(monkeypatch, [0.9, 0.7, 0.6, 0.5])
    found = recovered(whole, whole, epochs=4, held_out=0.1)
    assert len(seen) == found.lineage[-1].details["epochs"] == 4
    assert found.lineage[-1].details["epoch_kept"] == 1


def test_epochs_are_judged_on_pictures_that_are_only_trained_on_by_nobody(
    whole: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the training split, a share of each class; never of what decisions are taken on."""
    assert DATA.train is not None
    rest, judged = held_out(DATA.train, 0.25)
    assert isinstance(rest, Chosen)
    assert isinstance(judged, Chosen)
    assert sorted([*rest.indices, *judged.indices]) == list(range(48))
    assert judged.targets is not None
    assert np.bincount(judged.targets).tolist() == [6, 6]
    trained, looked = Watched(DATA.train), Watched(DATA.train)
    data = replace(DATA, train=trained, val=looked, test=looked)
    told(monkeypatch, [0.1, 0.2])
    before = list(looked.read)

    def spy(*_: Any) -> Score:
        assert looked.read == before
        return Score(0.5)

    monkeypatch.setattr(judging, "score", spy)
    how = training.Training("classification", 2, 0.05, 16, 0, "cpu", "t", held_out=0.25)
    training.train(copy.deepcopy(whole.module).train(), data, how, Silent())
    assert looked.read == []
    with_augmentation = [indices for indices in trained.read if len(indices) > len(judged)]
    assert with_augmentation
    assert not set(np.concatenate(with_augmentation).tolist()) & set(judged.indices.tolist())


class Watched:
    """A split that remembers which pictures were asked for."""

    def __init__(self, whole: Split) -> None:
        self.whole, self.read = whole, list[np.ndarray[Any, Any]]()
        self.targets, self.flips = whole.targets, whole.flips

    def __len__(self) -> int:
        return len(self.whole)

    def images(self, indices: Indices) -> Images:
        self.read.append(indices)
        return self.whole.images(indices)


def test_masks_are_cut_without_their_classes() -> None:
    assert DATA.train is not None
    masks = np.zeros((48, 8, 8), dtype=np.int64)
    rest, judged = held_out(replace(DATA.train, targets=masks), 0.25)  # type: ignore[type-var]
    assert (len(rest), len(judged)) == (36, 12)
    assert judged.targets is not None
    assert judged.targets.shape == (12, 8, 8)


def test_too_few_pictures_to_hold_any_out(whole: Model) -> None:
    with pytest.raises(RejectedError, match=r"held_out = 0\.1 takes all 2 training pictures"):
        recovered(whole, whole, pictures(2), held_out=0.1)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"patience": 3}, "patience has nothing to judge epochs on: give held_out"),
        ({"ema": 1.0}, "ema"),
        ({"ema": 0.0}, "ema"),
        ({"held_out": 0.9}, "held_out"),
        ({"warm_up": 4, "epochs": 4}, "warm_up = 4 leaves nothing of 4 epochs"),
        ({"warm_up": -1}, "warm_up"),
        ({"features": -1}, "features"),
        ({"schedule": "step"}, "schedule"),
        ({"mixed_precision": "fp8"}, "mixed_precision"),
        ({"hold_out": 0.1}, "did you mean held_out"),
    ],
    ids=str,
)
def test_what_cannot_be_is_refused_when_the_recipe_is_read(
    options: dict[str, object], said: str, tmp_path: Path
) -> None:
    lines = [
        f'{name} = "{value}"' if isinstance(value, str) else f"{name} = {value}"
        for name, value in options.items()
    ]
    path = tmp_path / "r.toml"
    path.write_text("\n".join(('id = "r"', 'title = "r"', "[[stages]]", 'kind = "recover"', *lines)))
    with pytest.raises(InputError) as error:
        load_recipe(str(path))
    assert said in str(error.value)
    assert str(path) in str(error.value)


def test_progress_tells_the_loss_and_where_it_stopped(
    whole: Model, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    told(monkeypatch, [0.9, 0.8, 0.7, 0.6])
    how = RecoverOptions(kind="recover", epochs=4, batch_size=16, held_out=0.1, patience=1)
    stage(how).apply(whole, contexts.context(whole, DATA, progress=shown()))
    said = capsys.readouterr()
    assert said.out == ""
    assert "stopped after 2 of 4 epochs, loss " in said.err


def test_gradients_are_clipped_as_they_are_not_as_they_were_scaled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of float16's scaled gradients, the norm would be thousands of times too large."""
    start = nn.Sequential(nn.Flatten(), nn.Linear(192, 2))
    norms, moved = [], []
    real = nn.utils.clip_grad_norm_

    def watched(*rest: Any) -> Tensor:
        norms.append(found := real(*rest))
        return found

    monkeypatch.setattr(nn.utils, "clip_grad_norm_", watched)
    how = training.Training("classification", 1, 0.1, 16, 0, "cpu", "t", adaptive=True)
    for half in (None, torch.float16):
        monkeypatch.setattr(loop, "precision", halved(half))
        network = copy.deepcopy(start)
        training.train(network, DATA, how, Silent())
        moved.append(network.get_parameter("1.weight").detach() - start.get_parameter("1.weight").detach())
    full, scaled = torch.stack(norms).chunk(2)
    assert torch.allclose(full, scaled, rtol=0.05)
    assert torch.allclose(moved[0], moved[1], atol=0.1 * float(moved[0].abs().max()))
