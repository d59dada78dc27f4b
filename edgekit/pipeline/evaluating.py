"""`evaluate`: the accuracy of a shipped file, in its runtime, on labelled pictures."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from edgekit.artifact import load_artifact
from edgekit.bench import predict
from edgekit.data import load_data
from edgekit.devices import open_device
from edgekit.errors import InputError
from edgekit.parity import sqnr_db
from edgekit.pipeline.profiling import RUNTIME_OF
from edgekit.progress import Progress, Silent


@dataclass(frozen=True)
class Evaluation:
    """What a file does on a data set's test split."""

    model: str
    precision: str
    runtime: str
    data: str
    samples: int
    accuracy: float
    """Top-1 in [0, 1]."""
    parity_db: float
    """SQNR of the file's known answers, as its runtime gives them here."""

    def document(self) -> dict[str, Any]:
        """The evaluation as `--json` prints it."""
        return asdict(self)


def evaluate(
    artifact: Path,
    *,
    data: Path | None = None,
    threads: int = 2,
    device: str = "local",
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Run an artifact (or a run's folder) in its runtime over the test split of `data`, the built-in digits if None.

    Raises `InputError` where the data has no classes, or other ones than the artifact.
    """
    shipped, where, show = load_artifact(artifact), open_device(device), progress or Silent()
    manifest = shipped.manifest
    pictures = load_data(data, preprocessing=manifest.preprocessing, skip_bad=skip_bad, progress=show)
    if pictures.test is None or pictures.test.targets is None:
        raise InputError(
            f"{pictures.name} has no classes: there is nothing to be right about",
            hint="one folder a class, or train/CLASS and val/CLASS",
        )
    if pictures.labels != manifest.labels:
        raise InputError(
            f"{pictures.name} has other classes than {manifest.model}: "
            f"{_differing(pictures.labels, manifest.labels)}",
            hint="name the folders after the labels in the artifact's manifest",
        )
    runtime, options = RUNTIME_OF[manifest.format], dict(manifest.runtime_options)
    known, expected = shipped.parity()
    answers = predict(shipped, runtime, known, where, threads=threads, options=options)
    images = pictures.test.images(np.arange(len(pictures.test)))
    show.say(f"running {len(images)} pictures in {runtime}")
    logits = predict(shipped, runtime, images, where, threads=threads, options=options)
    return Evaluation(
        model=manifest.model,
        precision=manifest.precision,
        runtime=runtime,
        data=pictures.name,
        samples=len(images),
        accuracy=float(np.mean(logits.argmax(axis=1) == pictures.test.targets)),
        parity_db=sqnr_db(expected, answers),
    )


def _differing(given: tuple[str, ...], wanted: tuple[str, ...]) -> str:
    missing, extra = sorted(set(wanted) - set(given))[:3], sorted(set(given) - set(wanted))[:3]
    parts = [
        f"missing {', '.join(missing)}" if missing else "",
        f"unexpected {', '.join(extra)}" if extra else "",
    ]
    return "; ".join(part for part in parts if part) or "another order"
