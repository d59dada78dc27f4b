"""A browser as the device of a profile: the page is given its file, and must answer right before it is timed."""

from __future__ import annotations

import io
from collections.abc import Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np
from PIL import Image

from edgekit import runtimes
from edgekit.artifact import MANIFEST
from edgekit.bench import predict
from edgekit.bench.latency import QUICK, input_of
from edgekit.bundle.known import KNOWN, SHARE, in_layout, rounded
from edgekit.bundle.picture import drawn, preprocessed
from edgekit.bundle.render import own_version
from edgekit.devices import HERE, Failure, Opened, open_device
from edgekit.devices.web.runtimes import engine_of
from edgekit.devices.web.subject import Known, Subject
from edgekit.errors import InputError, MeasurementError, MissingError
from edgekit.frozen import Frozen
from edgekit.model import Preprocessing

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.artifact import ArtifactFolder
    from edgekit.devices import Array, Device
    from edgekit.measurement import Profile
    from edgekit.pipeline.place import Place
    from edgekit.progress import Progress

PICTURE = "known/picture.png"
PHOTO = (1280, 960)
"""Width and height of what the app path decodes: a camera's preview, rather than its largest photo."""


class KnownAnswers(Frozen):
    """How near a browser came to what the runtime answers here."""

    inputs: int
    largest_difference: float
    tolerance: float
    answered_by: str


class AppPath(Frozen):
    """What an app waits for beside the inference: medians over runs, in milliseconds."""

    picture: str
    runs: int
    stages_ms: Mapping[str, float]

    @property
    def total_ms(self) -> float:
        """From a picture file to its answer."""
        return sum(self.stages_ms.values())


def subject_of(artifact: ArtifactFolder, runtime: str, threads: int) -> Subject:
    """A page's file with its known answers, which its runtime gives here.

    Raises `InputError` for inputs whose size is not fixed, and as `predict` does.
    """
    engine_of(runtime)
    manifest = artifact.manifest
    spec = manifest.inputs[0]
    if len(manifest.inputs) != 1 or any(size < 1 for size in spec.shape):
        raise InputError(
            f"{manifest.model_file} does not take one input of a fixed size: {list(spec.shape)}",
            hint="export it with fixed sizes",
        )
    if kinds := {each.dtype for each in (*manifest.inputs, *manifest.outputs)} - {"float32"}:
        raise InputError(
            f"{manifest.model_file} takes or gives {', '.join(sorted(kinds))}, and a page feeds and reads float32",
            hint="make the file for the target web",
        )
    return Subject(
        artifact,
        runtime,
        _known(artifact, runtime),
        photo(),
        {**QUICK.limits, "blocks": QUICK.blocks, "timeout_s": QUICK.timeout_s},
        threads,
        own_version(),
    )


@contextmanager
def opened(
    place: Place, artifact: ArtifactFolder, threads: int, progress: Progress
) -> Iterator[KnownAnswers | None]:
    """Where the place is a browser: the page is open, and its answers were right; nothing elsewhere.

    Raises `MissingError` where nobody opens the page, `MeasurementError` where its answers are wrong.
    """
    if not isinstance(place.device, Opened):
        yield None
        return
    subject = subject_of(artifact, place.runtime, threads)
    with place.device.opened(subject, progress.say):
        yield _checked(subject, place.device, threads)


def app_path(place: Place, progress: Progress, *, pictured: bool) -> AppPath | None:
    """What a browser takes from a picture file to its answer.

    None elsewhere, where nobody knows how a picture becomes the input (not `pictured`), or where it failed, which is
    said.
    """
    if not isinstance(place.device, Opened) or not pictured:
        return None
    try:
        found = place.device.app_path()
    except MissingError as error:
        found = Failure("error", error.what)
    if isinstance(found, Failure):
        progress.say(f"from a photo to its answer: {found.reason}")
        return None
    medians = {name: float(np.median(times)) / 1e6 for name, times in found.items()}
    runs = min(len(times) for times in found.values())
    return AppPath(picture=f"a drawn JPEG, {PHOTO[0]}×{PHOTO[1]}", runs=runs, stages_ms=medians)


def tell(
    place: Place, found: Profile, known: KnownAnswers | None, path: AppPath | None, progress: Progress
) -> None:
    """Show the result on the page that it was measured on; one that is closed by now has given it all the same."""
    if not isinstance(place.device, Opened) or known is None:
        return
    told = {
        "median": f"{found.p50_ms:.3g} ms",
        "p90": f"{found.p90_ms:.3g} ms",
        "samples": f"{len(found.samples_ns)} in {len(found.blocks_ns)} workers",
        "runtime": f"{found.runtime} {found.runtime_version}, {found.threads} threads",
        "stability": found.stability,
        "known answers": f"{known.inputs} of {known.inputs} within {known.tolerance:g}, off by "
        f"{known.largest_difference:.2g} at most",
    }
    try:
        place.device.done(told | ({"from a photo": stages(path)} if path else {}))
    except MissingError:
        progress.say("the page was closed after it had been measured")


def tell_threads(found: Profile, asked: int, progress: Progress) -> None:
    """Say where a browser gave fewer threads than were asked for."""
    if found.threads < asked:
        why = found.before.facts.get("isolated", "")
        cores = found.before.facts.get("cores", "an unknown number of")
        progress.say(f"{found.threads} of {asked} threads: isolated: {why}, cores: {cores}")


def stages(path: AppPath) -> str:
    """The steps of an app path in one line."""
    return ", ".join(f"{name.replace('_', ' ')} {ms:.3g} ms" for name, ms in path.stages_ms.items())


def _checked(subject: Subject, device: Device, threads: int) -> KnownAnswers:
    """Raises `MeasurementError` where an answer is further from the known one than the tolerance."""
    artifact, known = subject.artifact, subject.known
    inputs, expected = (_arrays(subject, names) for names in (known.inputs, known.outputs))
    options = _options(artifact, subject.runtime)
    given = predict(artifact, subject.runtime, inputs, device, threads=threads, options=options)
    if given.shape != expected.shape:
        raise MeasurementError(f"{device.name} answers {given.shape}, and {expected.shape} was expected")
    largest = float(np.max(np.abs(expected.astype(np.float64) - given)))
    if not largest <= known.tolerance:
        raise MeasurementError(
            f"{device.name} answers other than {known.answered_by}: off by {largest:.3g}, and {known.tolerance:g} "
            "is allowed",
            hint="its time says nothing while its answers are wrong; try another browser or backend",
        )
    return KnownAnswers(
        inputs=len(inputs),
        largest_difference=largest,
        tolerance=known.tolerance,
        answered_by=known.answered_by,
    )


def _arrays(subject: Subject, names: tuple[str, ...]) -> Array:
    """Known inputs or outputs, channels first."""
    manifest = subject.artifact.manifest
    spec = manifest.inputs[0] if names is subject.known.inputs else manifest.outputs[0]
    values = [np.frombuffer(subject.known.files[name], dtype="<f4").reshape(spec.shape[1:]) for name in names]
    stacked: Array = np.stack(values)
    return stacked.transpose(0, 3, 1, 2) if spec.layout == "NHWC" else stacked


def _known(artifact: ArtifactFolder, runtime: str) -> Known:
    """Known inputs with the runtime's answers here; the drawn picture where its preprocessing is known."""
    manifest = artifact.manifest
    ready = manifest.preprocessing
    inputs = input_of(artifact) if manifest.inputs[0].shape[0] > 1 else _parity_inputs(artifact)
    files: dict[str, bytes] = {}
    fed = inputs[:KNOWN].astype(np.float32)
    names = [str(index) for index in range(len(fed))]
    pictured = (artifact.folder / MANIFEST).is_file()
    if pictured:
        files[PICTURE] = drawn(ready)
        fed = np.concatenate([fed, preprocessed(files[PICTURE], ready)])
        names.append("picture")
    answers = predict(artifact, runtime, fed, open_device(HERE), options=_options(artifact, runtime))
    for name, put, given in zip(names, fed, answers, strict=True):
        files[f"known/input-{name}.f32"] = in_layout(put, manifest.inputs[0])
        files[f"known/output-{name}.f32"] = in_layout(given, manifest.outputs[0])
    return Known(
        files,
        tuple(f"known/input-{name}.f32" for name in names),
        tuple(f"known/output-{name}.f32" for name in names),
        rounded(SHARE[manifest.precision] * float(np.ptp(answers))),
        f"{runtime} {_version(runtime)}",
        PICTURE if pictured else "",
    )


def photo() -> bytes:
    """The drawn picture, large, as a JPEG."""
    ready = Preprocessing(height=PHOTO[1] * 2 // 3, width=PHOTO[0] * 2 // 3, mean=(0.0,) * 3, std=(1.0,) * 3)
    stream = io.BytesIO()
    with Image.open(io.BytesIO(drawn(ready))) as picture:
        picture.resize(PHOTO).save(stream, format="JPEG", quality=90)
    return stream.getvalue()


def _options(artifact: ArtifactFolder, runtime: str) -> dict[str, str]:
    """What the file's figures were taken with, as far as this runtime knows it."""
    told = artifact.manifest.runtime_options
    return {name: told[name] for name in told if name in runtimes.find(runtime).options}


def _parity_inputs(artifact: ArtifactFolder) -> Array:
    try:
        inputs, _ = artifact.parity()
    except FileNotFoundError:
        shape = (KNOWN, *artifact.manifest.inputs[0].shape[1:])
        return np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    return inputs


def _version(runtime: str) -> str:
    from importlib.metadata import version

    return version(runtimes.find(runtime).distribution)
