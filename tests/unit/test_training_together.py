"""Two processes that `accelerate launch` started train what one would, to rounding; only the first leaves anything."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
import trained_together
from labelled_pictures import pictures
from safetensors.torch import load_file
from small_networks import model_of
from small_runs import recipe
from torch import nn

from edgekit.errors import InputError
from edgekit.progress import Silent
from edgekit.stages import crew, training
from edgekit.stages.training import Training, train

SUPPORT = Path(trained_together.__file__)
ROUNDING = 1e-4
"""Relative to a tensor's largest value, after four to nine steps; 1e-5 is seen."""


def run(command: Sequence[str], **environment: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join(
        (str(SUPPORT.parents[2]), str(SUPPORT.parent), *filter(None, [os.environ.get("PYTHONPATH")]))
    )
    more = {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "GLOO_SOCKET_IFNAME": "lo"} | environment
    return subprocess.run(
        [sys.executable, *command],
        env=os.environ | more,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def launched(*command: str, **environment: str) -> subprocess.CompletedProcess[str]:
    launch = ["-m", "accelerate.commands.launch", "--multi_gpu", "--num_machines=1", "--num_processes=2"]
    return run(
        [*launch, "--main_process_port=0", "--mixed_precision=no", "--dynamo_backend=no", *command],
        **environment,
    )


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """What one process trained, and what two did."""
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    alone = run([str(SUPPORT), str(one)])
    assert alone.returncode == 0, alone.stderr
    together = launched(str(SUPPORT), str(two))
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


@pytest.mark.slow
def test_a_whole_run_has_one_report_and_one_voice(tmp_path: Path) -> None:
    stages = '[[stages]]\nkind = "recover"\nepochs = 1\nheld_out = 0.1\n'
    small = Path(recipe(tmp_path, stages=stages))
    small.write_text(small.read_text().replace("epochs = 8", "epochs = 1"))
    options = [
        "--width=0.25",
        "--input-size=32",
        "--target=host",
        f"--recipe={small}",
        f"--out={tmp_path / 'run'}",
    ]
    program = tmp_path / "program.py"
    program.write_text("from edgekit.cli.app import main\nmain()\n")
    done = launched(
        str(program), "compress", "mobilenetv1", *options, "--json", XDG_CACHE_HOME=str(tmp_path / "cache")
    )
    assert done.returncode == 0, done.stderr
    assert [step["stage"] for step in json.loads(done.stdout)["steps"]] == ["baseline", "recover", "export"]
    assert done.stderr.count("train the baseline ...") == 1
    assert done.stderr.count("recover ...") == 1


def test_bad_input_is_told_once(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text("from edgekit.cli.app import main\nmain()\n")
    done = launched(str(program), "compress", "mobilenetv9", "--target=host")
    assert done.returncode != 0
    assert done.stderr.count("unknown network") + done.stderr.count("unknown model") == 1


class Others:
    """A launch whose second process has read other pictures."""

    rank, size = 0, 2

    def __init__(self) -> None:
        self.sent: list[object] = []

    def gathered(self, value: str) -> list[str]:
        return [value, "other"]

    def send(self, work: object) -> bool:
        self.sent.append(work)
        return True


def test_other_pictures_are_refused_before_anything_is_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    others = Others()
    monkeypatch.setattr(training, "launched", lambda: True)
    monkeypatch.setattr(training, "together", lambda _: others)
    with (
        pytest.raises(InputError, match="process 1 of 2 has other pictures"),
        training.leading(pictures(4), "cpu"),
    ):
        pytest.fail("nothing is trained")
    assert others.sent == [None]


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
