"""What a request resolves to before anything is trained or written."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from edgekit import files
from edgekit.data import load_data
from edgekit.data.folder import INPUT_SIZE, preprocessing_for
from edgekit.data.random import random_data
from edgekit.data.split import Data
from edgekit.errors import InputError, unknown
from edgekit.model import Source
from edgekit.recipe import Budget, Recipe, load_recipe
from edgekit.request import Request
from edgekit.target import Target, load_target
from edgekit.zoo import Entry, catalogue

LATENCY_ONLY_CLASSES = 1000


@dataclass(frozen=True, eq=False)
class Job:
    """A request whose names are resolved and whose data is loaded."""

    request: Request
    entry: Entry
    target: Target
    recipe: Recipe
    data: Data

    @property
    def random(self) -> bool:
        """Random pictures: figures for latency only, nothing said about accuracy."""
        return self.recipe.calibration == "random"

    @property
    def key(self) -> dict[str, object]:
        """Everything that decides the outcome: a resumed run must have the same."""
        weights = files.sha256(self.request.weights) if self.request.weights else None
        return {
            "model": self.request.model,
            "width": self.request.width,
            "weights": weights,
            "seed": self.request.seed,
            "target": self.target.model_dump(mode="json"),
            "recipe": self.recipe.model_dump(mode="json"),
            "data": self.data.sha256,
            "preprocessing": self.data.preprocessing.model_dump(mode="json"),
        }


def resolve(request: Request) -> Job:
    """Look up every name and load the data; raises `InputError` before anything costs time."""
    known = {entry.name: entry for entry in catalogue()}
    if request.model not in known:
        raise unknown("model", request.model, known)
    target = load_target(request.target)
    recipe = _with_budget(load_recipe(request.recipe or target.recipe), request)
    return Job(request, known[request.model], target, recipe, _data(request, recipe))


def source_of(job: Job, num_classes: int | None = None) -> Source:
    """The architecture that the job starts from: as many classes as the data has, or as given."""
    classes = num_classes or len(job.data.labels) or LATENCY_ONLY_CLASSES
    return Source(
        name=job.entry.name,
        num_classes=classes,
        in_channels=job.data.preprocessing.channels,
        width=job.request.width,
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


def _data(request: Request, recipe: Recipe) -> Data:
    if recipe.calibration == "random":
        if request.data is not None:
            raise InputError(
                f"the recipe {recipe.id} calibrates on random pictures, and --data {request.data} was given",
                hint="leave --data out, or choose another recipe",
            )
        return random_data(
            preprocessing_for(INPUT_SIZE if request.input_size is None else request.input_size, 3),
            seed=request.seed,
        )
    if request.weights is not None and request.data is None:
        raise InputError(
            "--weights without --data: there is nothing to calibrate on and nothing to judge by",
            hint="give --data DIR (labelled pictures, or a folder of unlabelled ones for calibration alone), "
            "or --recipe latency-only for latency without any claim about accuracy",
        )
    data = load_data(request.data, input_size=request.input_size, skip_bad=request.skip_bad)
    if not data.labelled and request.weights is None:
        raise InputError(
            f"{request.data} holds pictures without classes, and there are no weights",
            hint="add --weights FILE, or sort the pictures into one folder a class",
        )
    return data
