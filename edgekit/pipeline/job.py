"""What a request resolves to before anything is trained or written."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass

from edgekit import files
from edgekit.bench import precisions
from edgekit.bundle.manifest import check_lines
from edgekit.data import load_data
from edgekit.data.random import random_data
from edgekit.data.split import Data
from edgekit.devices import HERE, open_device
from edgekit.errors import InputError
from edgekit.exporters import check_packages
from edgekit.model import Task
from edgekit.pipeline.network import preprocessing_of
from edgekit.pipeline.place import place_of
from edgekit.progress import Progress
from edgekit.recipe import Budget, Recipe, load_recipe, uses_tfmot
from edgekit.request import Request
from edgekit.target import Target, list_targets, load_target
from edgekit.tfmot import process
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
    def bundled(self) -> bool:
        """Whether the run writes its target's bundle; none is made of a file that takes several pictures at once."""
        return self.target.bundle and self.request.batch == 1

    @property
    def key(self) -> dict[str, object]:
        """Everything that decides the outcome: a resumed run must have the same."""
        return {
            "model": self.entry.identity,
            "width": self.request.width,
            "weights": files.sha256(self.weights.path) if self.weights else None,
            "seed": self.request.seed,
            "batch": self.request.batch,
            "device": self.request.device,
            "target": self.target.model_dump(mode="json"),
            "recipe": self.recipe.model_dump(mode="json"),
            "data": self.data.sha256,
            "preprocessing": self.data.preprocessing.model_dump(mode="json"),
        }


def resolve(request: Request, progress: Progress | None = None) -> Job:
    """Look up every name and load the data; raises `InputError` or `MissingError` before anything costs time."""
    entry = architecture(request.model, request.factory_arg, request.task)
    target = load_target(request.target)
    own = place_of(target, request.device).runtime
    for uri, runtime in dict.fromkeys(((HERE, target.proxy_runtime), (request.device, own))):
        precisions(runtime, open_device(uri))  # what is not there is refused now
    check_packages(target.format)
    recipe = _with_budget(load_recipe(request.recipe or target.recipe), request)
    if any(map(uses_tfmot, recipe.stages)):
        _check_tfmot(recipe, target, entry)
    if target.integer_only and all(stage.kind != "quantize" for stage in recipe.stages):
        raise InputError(
            f"the recipe {recipe.id} gives a float file, and {target.id} takes none",
            hint='put [[stages]] kind = "quantize" at its end, in a recipe of your own',
        )
    _check_sources(request, recipe, entry)
    weights = weights_file(request.weights) if request.weights else None
    if weights is None and entry.weights is not None:
        weights = WeightsFile(entry.weights, entry.origin)
    data = _data(request, recipe, entry, progress)
    job = Job(request, entry, target, recipe if data.labelled else _unjudged(recipe, request), data, weights)
    if job.bundled:
        check_lines(data.labels, data.name)
    return job


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
    macs = request.max_macs
    stages = tuple(
        stage.model_copy(update={"macs": macs}) if stage.kind == "prune" and macs is not None else stage
        for stage in recipe.stages
    )
    return recipe.model_copy(update={"budget": budget, "stages": stages})


def _unjudged(recipe: Recipe, request: Request) -> Recipe:
    """Without classes nobody can tell what was lost, and nothing is pruned: the recipe's own budgets of both go."""
    if request.max_accuracy_drop is not None:
        raise InputError(
            "--max-accuracy-drop without labelled pictures: nobody can tell what was lost",
            hint="give --data with classes",
        )
    free = {"accuracy_drop": None, "macs": request.max_macs}
    return recipe.model_copy(update={"budget": recipe.budget.model_copy(update=free)})


def _check_tfmot(recipe: Recipe, target: Target, entry: Architecture) -> None:
    """Raise `InputError` where TensorFlow's toolkit is no use, `MissingError` where it is not there."""
    if target.format != "tflite":
        others = ", ".join(other.id for other in list_targets() if other.format == "tflite")
        raise InputError(
            f"the recipe {recipe.id} uses TF-MOT, whose files are LiteRT's, and {target.id} takes {target.format}",
            hint=f"choose another recipe, or a target of LiteRT: {others}",
        )
    if "fp32" not in target.precisions and recipe.stages[-1].kind != "quantize":
        raise InputError(
            f"the recipe {recipe.id} ends in a float file, and {target.id} takes none",
            hint='put [[stages]] kind = "quantize" behind it, in a recipe of your own',
        )
    if entry.task != "classification":
        raise InputError(
            f"the recipe {recipe.id} trains classifiers, and {entry.name} is for {entry.task}",
            hint="choose another recipe",
        )
    process.check()


_LABELS: Mapping[Task, str] = {
    "classification": "sort the pictures into one folder a class",
    "segmentation": "put them into images/ and their masks into masks/",
}


def _check_sources(request: Request, recipe: Recipe, entry: Architecture) -> None:
    """Raise `InputError` for data, weights and recipe that do not go together, before any of them is read."""
    if recipe.calibration == "random":
        if request.data is not None:
            raise InputError(
                f"the recipe {recipe.id} calibrates on random pictures, and --data {request.data} was given",
                hint="leave --data out, or choose another recipe",
            )
    elif request.data is None and (request.weights or entry.trained):
        trained = "--weights" if request.weights else f"{request.model}, which is trained,"
        raise InputError(
            f"{trained} without --data: there is nothing to calibrate on and nothing to judge by",
            hint="give --data DIR (labelled pictures, or a folder of unlabelled ones for calibration alone), "
            "or --recipe latency-only for latency without any claim about accuracy",
        )


def _data(request: Request, recipe: Recipe, entry: Architecture, progress: Progress | None) -> Data:
    ready = preprocessing_of(entry, request.input_size)  # refuses a size before pictures are read
    if recipe.calibration == "random":
        return random_data(ready, seed=request.seed)
    data = load_data(
        request.data,
        task=entry.task,
        input_size=request.input_size,
        channels=entry.channels,
        preprocessing=ready if entry.trained or entry.pixels or entry.input_shape else None,
        skip_bad=request.skip_bad,
        progress=progress,
    )
    if not data.labelled and not (request.weights or entry.trained):
        raise InputError(
            f"{request.data} holds pictures without classes, and there are no weights",
            hint=f"add --weights FILE, or {_LABELS[entry.task]}",
        )
    return data
