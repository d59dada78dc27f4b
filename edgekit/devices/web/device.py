"""A browser as a device: jobs go to the page that it has opened, and what the page measured comes back."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from edgekit import files
from edgekit.devices import Answer, Failure, Job, Opened, counting
from edgekit.devices.runner import load_runtime
from edgekit.devices.web import messages, server
from edgekit.devices.web.desk import Desk
from edgekit.devices.web.invitation import invitation
from edgekit.devices.web.page_files import page_files
from edgekit.devices.web.runtimes import ENGINES, engine_of, runtime_files, version
from edgekit.errors import EdgekitError, InputError, MissingError
from edgekit.measurement import DeviceState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from edgekit.devices import Array
    from edgekit.devices.web.address import Address
    from edgekit.devices.web.messages import Part
    from edgekit.devices.web.subject import Subject

STATE_S = 30.0
STOP_S = 2.0
APP_S = 60.0
LARGEST_BYTES = 1_000_000_000
"""WebAssembly has 4 GB at most, and a runtime needs a file several times while it opens it."""


class Web(Opened):
    """A browser; each job runs in a worker of its own, which ends with it."""

    def __init__(self, address: Address) -> None:
        self._address = address
        self._desk: Desk | None = None
        self._counted: dict[str, counting.Counts] = {}

    @property
    def ready(self) -> str:
        """The runtimes that its page brings."""
        known = ", ".join(f"{engine.package} {version(engine.package)}" for engine in ENGINES.values())
        return f"a page with {known}; `edgekit profile RUN` shows the link that opens it"

    @contextmanager
    def opened(self, subject: Subject, say: Callable[[str], None]) -> Iterator[None]:
        """Serve the page of a file, show its link by `say`, and wait until somebody has opened it.

        Raises `InputError` for a file that no browser runs, `MissingError` where nobody opens the link.
        """
        engine = engine_of(subject.runtime)
        if self._address.backend not in engine.files:
            raise InputError(
                f"{engine.package} has no {self._address.backend} here", hint="leave out ?backend=…"
            )
        _check_size(subject.model_path)
        pages = page_files() | runtime_files(engine, self._address.backend)
        self._desk = desk = Desk()
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            content = pages | subject.files(live=True, backend=self._address.backend)
            with server.serving(content, desk, self._address, Path(folder)) as link:
                say(invitation(link, self._address, Path(folder)))
                try:
                    desk.wait(self._address.wait_s)
                    yield
                except EdgekitError as error:
                    with suppress(
                        MissingError
                    ):  # a page that is gone is what is told of, or need not be told
                        desk.ask({"do": "stop", "reason": error.what}, {}, STOP_S)
                    raise
                finally:
                    self._desk = None

    def done(self, summary: Mapping[str, str]) -> None:
        """Show the result on the page; raises `MissingError` where it is gone."""
        self._there().ask({"do": "done", "summary": dict(summary)}, {}, APP_S)

    def app_path(self) -> Mapping[str, Sequence[int]] | Failure:
        """Nanoseconds of each step from a picture file to its answer, a value a run; raises `MissingError`."""
        reply = self._there().ask({"do": "app"}, {}, APP_S)
        part = reply.parts[0] if reply and reply.parts else messages.Part(failure="hang", reason="no answer")
        if part.failure or not part.stages or not all(part.stages.values()):
            return Failure(part.failure or "error", messages.printable(part.reason) or "it gave no times")
        return {messages.printable(name): list(times) for name, times in part.stages.items()}

    @property
    def name(self) -> str:
        """`web (<browser>, <model or system>)`."""
        facts = self._there().facts
        return f"web ({facts.get('browser', 'a browser')}, {facts.get('board') or facts.get('system', 'unknown')})"

    def state(self) -> DeviceState:
        """Browser, cores, memory class, isolation, battery, and how often the page was hidden."""
        desk = self._there()
        reply = desk.ask({"do": "state"}, {}, STATE_S)
        return DeviceState(facts=messages.cleaned(reply.facts) if reply else desk.facts)

    def call(self, job: Job, inputs: Array | None = None) -> Answer | Failure:
        """Run a job in a worker of its own; what fails in it is a `Failure`.

        Raises `MissingError` where the page is gone, `InputError` for a runtime that browsers have not.
        """
        if job.mode == "layers":
            return Failure("error", "runtimes for browsers tell no times of operators here")
        if job.mode == "probe":
            return self._probe(job)
        return self._outcomes([job], [inputs], 0)[0]

    def call_together(
        self, jobs: Sequence[Job], inputs: Sequence[Array], turns: int
    ) -> list[Answer | Failure]:
        """Run latency jobs by turns, A B, B A, …, each in a worker that lives as long as all; raises as `call` does."""
        return self._outcomes(jobs, inputs, turns)

    def _outcomes(
        self, jobs: Sequence[Job], inputs: Sequence[Array | None], turns: int
    ) -> list[Answer | Failure]:
        asked: list[dict[str, Any]] = []
        sent: dict[str, bytes | Path] = {}
        for place, (job, images) in enumerate(zip(jobs, inputs, strict=True)):
            if "slowdown" in job.limits:
                raise InputError("a browser's calls cannot be made slower", hint="test the gate on `local`")
            _check_size(job.model_files[0])
            batch = _in_layout(images, job.options.get("layout", ""))
            sent |= {f"model-{place}": job.model_files[0], f"inputs-{place}": batch.tobytes()}
            asked.append(_told(job, place, batch.shape))
        limit_s = sum(job.timeout_s for job in jobs)
        reply = self._there().ask({"do": "run", "turns": turns, "jobs": asked}, sent, limit_s + STATE_S)
        if reply is None:
            late = Failure("hang", f"the page is there, and did not answer within {limit_s + STATE_S:g} s")
            return [late for _ in jobs]
        if len(reply.parts) != len(jobs):
            return [Failure("error", "the page answered with something else") for _ in jobs]
        return [
            self._outcome(job, images, part)
            for job, images, part in zip(jobs, inputs, reply.parts, strict=True)
        ]

    def _outcome(self, job: Job, images: Array | None, part: Part) -> Answer | Failure:
        if part.failure:
            return Failure(part.failure, messages.printable(part.reason) or "the page gives no reason")
        values = {
            "load_ns": part.load_ns,
            "version": messages.printable(part.version),
            "threads": part.threads,
        }
        if job.mode == "predict":
            outputs = _channels_first(messages.array_of(part), job.options.get("output_layout", ""))
            if outputs is None or not np.isfinite(outputs).all():
                return Failure("error", "the page's outputs are no finite numbers of the shape that it tells")
            return Answer(values, outputs)
        counted = self._count(job, images)
        if isinstance(counted, Failure):
            return counted
        details = {**messages.cleaned(part.details), "operators_from": "the file, opened on this machine"}
        return Answer(
            {
                **values,
                "warmup_ns": list(part.warmup_ns),
                "samples_ns": list(part.samples_ns),
                "turns": list(part.turns),
                "cores": [],
                "clock_ns": part.clock_ns,
                "peak_rss_bytes": 0,  # browsers do not tell what a worker holds
                "executed": {**counted, "sample_of": "inference", "details": details},
            }
        )

    def _count(self, job: Job, images: Array | None) -> counting.Counts | Failure:
        digest = files.sha256(job.model_files[0])
        if digest not in self._counted:
            counted = counting.count(job, images)
            if isinstance(counted, Failure):
                return counted
            self._counted[digest] = counted
        return self._counted[digest]

    def _probe(self, job: Job) -> Answer | Failure:
        """The runtime's tiny model, relu(x), really run there."""
        runtime = load_runtime(job.runtime)
        images = np.array([[[[-1, 2], [3, -4]]]], dtype=np.float32)
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            model = Path(folder) / "tiny"
            model.write_bytes(counting.tiny_model(runtime))
            work = replace(job, mode="predict", model_files=(model,), threads=1, options=runtime.OPTIONS)
            outcome = self.call(work, images)
        if isinstance(outcome, Failure):
            return outcome
        if outcome.outputs is None or not np.array_equal(outcome.outputs, np.maximum(images, 0)):
            return Failure("error", f"relu of {images.ravel().tolist()} came out wrong")
        return Answer({**outcome.values, "precisions": runtime.precisions()})

    def _there(self) -> Desk:
        if self._desk is None:
            raise InputError(
                "a browser is a device of `edgekit profile` alone: that command shows the link to open",
                hint="edgekit profile RUN --device web",
            )
        return self._desk


def _told(job: Job, place: int, shape: tuple[int, ...]) -> dict[str, Any]:
    """A job in the page's words."""
    engine = engine_of(load_runtime(job.runtime).NAME)
    return {
        "mode": job.mode,
        "engine": engine.name,
        "version": version(engine.package),
        "model": f"model-{place}",
        "sha256": files.sha256(job.model_files[0]),
        "inputs": f"inputs-{place}",
        "shape": list(shape),
        "batch": job.batch,
        "threads": job.threads,
        "options": dict(job.options),
        "limits": dict(job.limits),
        "timeout_ms": round(job.timeout_s * 1000),
    }


def _in_layout(images: Array | None, layout: str) -> Array:
    """Inputs (n, C, H, W) as the file takes them."""
    if images is None:
        raise ValueError("a job for a browser has inputs")
    return np.ascontiguousarray(images.transpose(0, 2, 3, 1) if layout == "NHWC" else images, dtype="<f4")


def _channels_first(outputs: Array | None, layout: str) -> Array | None:
    if outputs is None or outputs.ndim != 4 or layout != "NHWC":
        return outputs
    return np.ascontiguousarray(outputs.transpose(0, 3, 1, 2))


def _check_size(model: Path) -> None:
    if (size := model.stat().st_size) > LARGEST_BYTES:
        raise InputError(
            f"{model.name} has {size:,} bytes, and a browser opens up to {LARGEST_BYTES:,}",
            hint="WebAssembly has 4 GB of memory at most; prune and quantize it first",
        )
