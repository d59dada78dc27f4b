"""What a request resolves to before anything is trained or written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from edgekit import files
from edgekit.bench import precisions
from edgekit.data import load_data
from edgekit.data.random import random_data
from edgekit.data.split import Data
from edgekit.devices import open_device
from edgekit.errors import InputError
from edgekit.exporters import check_packages
from edgekit.model import Task
from edgekit.pipeline.network import preprocessing_of
from edgekit.recipe import Budget, Recipe, load_recipe
from edgekit.request import Request
from edgekit.target import Target, load_target
from edgekit.zoo import Architecture, architecture
from edgekit.zoo.hub import WeightsFile, weights_file


@dataclass(frozen=True, eq=False)
class Job:
    """A request whose names are resolved and whose data is loaded."""

    request: Request
    entry: Architecture
    target: Target
    recipe: Recipe
    data: Data
    weights: WeightsFile | None

    @property
    def random(self) -> bool:
        """Random pictures: figures for latency only, nothing said about accuracy."""
        return self.recipe.calibration == "random"

    @property
    def key(self) -> dict[str, object]:
        """Everything that decides the outcome: a resumed run must have the same."""
        return {
            "model": self.entry.identity,
            "width": self.request.width,
            "weights": files.sha256(self.weights.path) if self.weights else None,
            "seed": self.request.seed,
            "batch": self.request.batch,
            "target": self.target.model_dump(mode="json"),
            "recipe": self.recipe.model_dump(mode="json"),
            "data": self.data.sha256,
            "preprocessing": self.data.preprocessing.model_dump(mode="json"),
        }


def resolve(request: Request) -> Job:
    """Look up every name and load the data; raises `InputError` or `MissingError` before anything costs time."""
    entry = architecture(request.model, request.factory_arg, request.task)
    target = load_target(request.target)
    precisions(target.proxy_runtime, open_device(request.device))  # what is not there is refused now
    check_packages(target.format)
    recipe = _with_budget(load_recipe(request.recipe or target.recipe), request)
    data = _data(request, recipe, entry)
    return Job(
        request, entry, target, recipe, data, weights_file(request.weights) if request.weights else None
    )


def content_key(value: object) -> str:
    """A short name for a value: equal values, equal names."""
    return hashlib.sha256(files.canonical_json(value).encode()).hexdigest()[:20]


def _with_budget(recipe: Recipe, request: Request) -> Recipe:
    """The recipe with the command line's budget in the place of its own; a MACs budget also drives pruning."""
    given = {
        "accuracy_drop": request.max_accuracy_drop,
        "latency_ms": request.max_latency_ms,
        "macs": request.max_macs,
    }
    for name, value in given.items():
        if value is not None and not (
            value >= 0 if name == "accuracy_drop" else value > 0
        ):  # false for NaN too
            raise InputError(
                f"--max-{name.replace('_', '-').removesuffix('-ms')} {value} is no budget",
                hint="give a positive number",
            )
    budget = Budget.model_validate(
        recipe.budget.model_dump() | {name: value for name, value in given.items() if value is not None}
    )
    share = request.max_macs
    stages = tuple(
        stage.model_copy(update={"macs": share}) if stage.kind == "prune" and share and share < 1 else stage
        for stage in recipe.stages
    )
    return recipe.model_copy(update={"budget": budget, "stages": stages})


_LABELS: Mapping[Task, str] = {
    "classification": "sort the pictures into one folder a class",
    "segmentation": "put them into images/ and their masks into masks/",
}


def _data(request: Request, recipe: Recipe, entry: Architecture) -> Data:
    ready = preprocessing_of(entry, request.input_size)  # refuses a size before pictures are read
    trained = (
        "--weights" if request.weights else f"{request.model}, which is trained," if entry.program else ""
    )
    if recipe.calibration == "random":
        if request.data is not None:
            raise InputError(
                f"the recipe {recipe.id} calibrates on random pictures, and --data {request.data} was given",
                hint="leave --data out, or choose another recipe",
            )
        return random_data(ready, seed=request.seed)
    if trained and request.data is None:
        raise InputError(
            f"{trained} without --data: there is nothing to calibrate on and nothing to judge by",
            hint="give --data DIR (labelled pictures, or a folder of unlabelled ones for calibration alone), "
            "or --recipe latency-only for latency without any claim about accuracy",
        )
    data = load_data(
        request.data,
        task=entry.task,
        input_size=request.input_size,
        channels=entry.channels,
        preprocessing=ready if entry.program else None,
        skip_bad=request.skip_bad,
    )
    if not data.labelled and not trained:
        raise InputError(
            f"{request.data} holds pictures without classes, and there are no weights",
            hint=f"add --weights FILE, or {_LABELS[entry.task]}",
        )
    return data
