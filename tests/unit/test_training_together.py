"""Two processes that `accelerate launch` started train what one would, to rounding; only the first leaves anything."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import trained_together
from labelled_pictures import pictures
from launching import launched, run
from safetensors.torch import load_file
from small_networks import model_of
from torch import nn

from edgekit.errors import InputError
from edgekit.progress import Silent
from edgekit.stages import crew, training
from edgekit.stages.training import Training, train

PROGRAM = trained_together.__file__
ROUNDING = 1e-4
"""Relative to a tensor's largest value, after four to nine steps; 1e-5 is seen."""


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What one process trained, and what two did."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    alone = run(PROGRAM, str(one))
    assert alone.returncode == 0, alone.stderr
    together = launched(PROGRAM, str(two))
    assert together.returncode == 0, together.stderr
    return one, two


@pytest.mark.parametrize("case", [name for name in trained_together.CASES if name != "diverging"])
def test_two_processes_train_what_one_does(case: str, folders: tuple[Path, Path]) -> None:
    one, two = (load_file(folder / case) for folder in folders)
    start = model_of(trained_together.CASES[case].network, side=8).module.state_dict()
    for name, value in one.items():
        scale = value.double().abs().max()
        assert (two[name].double() - value.double()).abs().max() <= ROUNDING * scale, name
    moved = [name for name, value in one.items() if (value.double() - start[name].double()).norm() > 1e-3]
    assert len(moved) > 2
    if case == "unpicklable":  # in the first process alone, and so the very same
        assert all(torch.equal(two[name], value) for name, value in one.items())


def test_zeros_stay_zero_in_both(folders: tuple[Path, Path]) -> None:
    weight = load_file(folders[1] / "recovery")["last.0.weight"]
    assert (weight == 0).float().mean() == 0.5


def test_a_loss_that_is_not_finite_ends_a_training_in_all_processes(folders: tuple[Path, Path]) -> None:
    """And they go on: what was trained behind it is there."""
    assert [(folder / "diverging").read_text() for folder in folders] == [
        "t: the loss is no longer finite"
    ] * 2


class Others:
    """A launch whose second process has read other pictures."""

    rank, size = 0, 2

    dismissed = False

    def gathered(self, value: str) -> list[str]:
        return [value, "other"]

    def dismiss(self) -> None:
        self.dismissed = True


def test_other_pictures_are_refused_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    others = Others()
    monkeypatch.setattr(training, "launched", lambda: True)
    monkeypatch.setattr(training, "together", lambda _: others)
    with (
        pytest.raises(InputError, match="process 1 of 2 has other pictures"),
        training.leading(pictures(4), "cpu"),
    ):
        pytest.fail("nothing is trained")
    assert others.dismissed


def test_more_processes_than_pictures_in_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    others = Others()
    monkeypatch.setattr(training, "crew_for", lambda *_: others)
    how = Training("classification", 1, 0.1, 2, 0, "cpu", "t")
    with pytest.raises(InputError, match="2 processes share batches of 1 pictures"):
        train(nn.Linear(1, 1), pictures(3), how, Silent())


def test_a_process_that_is_not_the_first_trains_nothing_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "1")
    how = Training("classification", 1, 0.1, 2, 0, "cpu", "t")
    with pytest.raises(InputError, match="this is not the first of them"):
        train(nn.Linear(1, 1), pictures(4), how, Silent())


def test_one_process_needs_no_accelerate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    assert isinstance(crew.crew_for(nn.Linear(1, 1), None, "cpu"), crew.Alone)
