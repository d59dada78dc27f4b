"""`evaluate`: the accuracy of a shipped file, in its runtime, on labelled pictures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from edgekit.artifact import Artifact, load_artifact
from edgekit.bench import predict, predict_split
from edgekit.data import load_data
from edgekit.data.split import Data, Split, Targets
from edgekit.errors import InputError
from edgekit.metrics import metric_of
from edgekit.parity import sqnr_db
from edgekit.pipeline.place import answers_on
from edgekit.progress import Progress, Silent
from edgekit.runtimes import RUNTIME_OF


@dataclass(frozen=True)
class Evaluation:
    """What a file does on a data set's test split."""

    model: str
    precision: str
    runtime: str
    device: str
    """The machine that computed the outputs: where the device gives none, this one."""
    data: str
    samples: int
    metric: str
    """What `accuracy` is: top-1 (`accuracy`) or `IoU`."""
    accuracy: float
    """In [0, 1]."""
    others: Mapping[str, float]
    """What the task's metric tells beside it: `f1` for segmentation."""
    parity_db: float
    """SQNR of the file's known answers, as its runtime gives them here."""

    def document(self) -> dict[str, Any]:
        """The evaluation as `--json` prints it."""
        fields = asdict(self)
        others = fields.pop("others")
        return {**fields, **others}


def evaluate(
    artifact: Path,
    *,
    data: Path | None = None,
    threads: int = 2,
    device: str = "local",
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Run an artifact (or a run's folder) in its runtime over the test split of `data`, if None the built-in one.

    Raises `InputError` where the data has no classes, or other ones than the artifact.
    """
    show = progress or Silent()
    shipped, where = load_artifact(artifact), answers_on(device, show)
    manifest = shipped.manifest
    pictures = load_data(
        data, task=manifest.task, preprocessing=manifest.preprocessing, skip_bad=skip_bad, progress=show
    )
    test, truth = _labelled(pictures, manifest)
    runtime, options = RUNTIME_OF[manifest.format], dict(manifest.runtime_options)
    known, expected = shipped.parity()
    answers = predict(shipped, runtime, known, where, threads=threads, options=options)
    show.say(f"running {len(test)} pictures in {runtime}")
    logits = predict_split(shipped, runtime, test, where, threads=threads, options=options)
    metric = metric_of(manifest.task)
    right = metric.score(logits, truth)
    return Evaluation(
        model=manifest.model,
        precision=manifest.precision,
        runtime=runtime,
        device=where.name,
        data=pictures.name,
        samples=len(test),
        metric=metric.name,
        accuracy=right.value,
        others=right.others,
        parity_db=sqnr_db(expected, answers),
    )


def _labelled(pictures: Data, manifest: Artifact) -> tuple[Split, Targets]:
    """The test split and its true answers; raises `InputError` where they are not those of the artifact."""
    test = pictures.test
    if test is None or test.targets is None:
        raise InputError(
            f"{pictures.name} has no classes: there is nothing to be right about",
            hint="one folder a class, or train/CLASS and val/CLASS; for segmentation images/ and masks/",
        )
    if not manifest.labels:  # exported without data: only their number is known
        output = manifest.outputs[0]
        if (classes := output.shape[output.layout.index("C")]) != len(pictures.labels):
            raise InputError(
                f"{pictures.name} has {len(pictures.labels)} classes, and {manifest.model} gives {classes}",
                hint="one folder a class, in the order of the network's outputs",
            )
    elif pictures.labels != manifest.labels:
        raise InputError(
            f"{pictures.name} has other classes than {manifest.model}: "
            f"{_differing(pictures.labels, manifest.labels)}",
            hint="name them after the labels in the artifact's manifest",
        )
    return test, test.targets


def _differing(given: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    missing, extra = sorted(set(wanted) - set(given))[:3], sorted(set(given) - set(wanted))[:3]
    parts = [
        f"missing {', '.join(missing)}" if missing else "",
        f"unexpected {', '.join(extra)}" if extra else "",
    ]
    return "; ".join(part for part in parts if part) or "another order"
