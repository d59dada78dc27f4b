"""A network of the user's own through a whole run: pruned, recovered, INT8, resumed, loaded; and a `.pt2` file."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import small_runs
import torch
from own_networks import NETWORKS, own_module, save_program
from PIL import Image
from torch import fx, nn

import edgekit
from edgekit.errors import InputError
from edgekit.pipeline import compress, resolve
from edgekit.pipeline.baseline import cache_folder
from edgekit.request import Request
from edgekit.zoo import factory

pytestmark = pytest.mark.usefixtures("brief")

STAGES = """
[[stages]]
kind = "prune"
macs = 0.8

[[stages]]
kind = "quantize"
method = "ptq"
calibration_samples = 64
"""


@pytest.fixture(autouse=True)
def nets(tmp_path: Path) -> Iterator[str]:
    with own_module(tmp_path) as name:
        yield name


def request(folder: Path, model: str, **options: object) -> Request:
    values: dict[str, object] = {"recipe": small_runs.recipe(folder, stages=STAGES), "threads": 1}
    values |= {"out": folder / "run", "target": "jetson"} | options
    return Request(model=model, **values)  # type: ignore[arg-type]


def test_a_factory_goes_through_a_run(nets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = f"{nets}:Tiny"
    wanted = request(tmp_path, name, input_size=32, factory_arg=("width=32",))
    done = compress(job := resolve(wanted))
    rows = {step.stage: step for step in done.report.steps}
    assert rows["prune"].kept
    assert rows["export"].macs <= 0.8 * rows["baseline"].macs
    assert done.report.artifact.precision == "int8"
    assert done.report.parity is not None
    assert done.report.parity.integer_operators_in_file == done.report.parity.weighted_operators == 3
    assert done.report.command[-2:] == ("--threads", "1")
    assert "--factory-arg" in done.report.command
    assert cache_folder(job).is_dir()

    model = edgekit.load(done.folder)
    assert isinstance(model.module, nn.Module)
    assert not isinstance(model.module, fx.GraphModule)
    monkeypatch.setattr(factory, "_FACTORIES", {})
    with pytest.raises(InputError, match="was not named here"):
        edgekit.load(done.folder)
    assert edgekit.load(done.folder, factory=name).source == model.source

    Path(f"{nets}.py").write_text(NETWORKS + "\n")
    changed = resolve(request(tmp_path, name, input_size=32, factory_arg=("width=32",), resume=True))
    assert cache_folder(changed) != cache_folder(job)
    (tmp_path / "run" / "report.json").unlink()
    with pytest.raises(InputError, match="holds a run with another model"):
        compress(changed)


def test_a_forward_that_holds_its_sizes_gives_way_to_its_graph(
    nets: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stages = STAGES.replace("macs = 0.8", "macs = 0.5\nsteps = 2\nepochs_between = 1")
    wanted = request(tmp_path, f"{nets}:Sized", input_size=32)
    small_runs.recipe(tmp_path, stages=stages)  # in the place of the request's own
    done = compress(resolve(wanted))
    rows = {step.stage: step for step in done.report.steps}
    assert rows["prune"].kept, rows["prune"].reason
    assert rows["export"].macs <= 0.5 * rows["baseline"].macs
    assert done.report.artifact.precision == "int8"
    assert any("from here on the network is its exported graph" in line for line in done.report.warnings)

    monkeypatch.setattr(factory, "_FACTORIES", {})  # what was pruned needs its code no more
    module = edgekit.load(done.folder).module
    assert isinstance(module, fx.GraphModule)
    assert module(torch.zeros(3, 3, 32, 32)).shape == (3, 10)


def test_a_factory_for_segmentation_is_given_that_tasks_data(nets: str, tmp_path: Path) -> None:
    wanted = request(tmp_path, f"{nets}:Masks", input_size=32, task="segmentation")
    done = compress(resolve(wanted))
    rows = {step.stage: step for step in done.report.steps}
    assert done.report.data["name"] == "digits-seg"
    assert rows["export"].macs <= 0.8 * rows["baseline"].macs
    assert edgekit.load(done.folder).source.num_classes == 1


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """Ten classes of stripes."""
    generator = np.random.default_rng(0)
    for part, count in (("train", 12), ("val", 4)):
        for label in range(10):
            folder = tmp_path / "pictures" / part / str(label)
            folder.mkdir(parents=True)
            for index in range(count):
                picture = generator.integers(0, 60, (32, 32, 3))
                picture[:, 3 * label : 3 * label + 3] += 190
                Image.fromarray(picture.astype(np.uint8)).save(folder / f"{index}.png")
    return tmp_path / "pictures"


def test_a_program_goes_through_a_run_with_its_own_weights(pictures: Path, tmp_path: Path) -> None:
    path = save_program(tmp_path / "net.pt2")
    done = compress(resolve(request(tmp_path, str(path), data=pictures)))
    rows = {step.stage: step for step in done.report.steps}
    assert rows["baseline"].reason == "weights of net.pt2"
    assert rows["prune"].kept
    assert rows["export"].macs <= 0.8 * rows["baseline"].macs
    assert done.report.artifact.precision == "int8"
    path.unlink()  # the run holds what it needs
    assert edgekit.load(done.folder).quantization is not None
