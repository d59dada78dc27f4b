"""Android phones, by the system's `adb`: files are timed by LiteRT's own `benchmark_model`, without Python there.

The tool gives no single inferences and no outputs. One process of it is a block of one sample: the median of its
inferences (the mean where its build knows no median).
"""

from __future__ import annotations

import re
import shlex
import signal
import tempfile
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qs, unquote, urlsplit

from edgekit import files
from edgekit.devices import Answer, Array, Failure, Job, TimesOnly, adb_answer, benchmark_model, counting
from edgekit.devices.adb_phone import Phone
from edgekit.devices.adb_session import Session
from edgekit.devices.adb_state import ask_state
from edgekit.devices.benchmark_model import Reading, UnknownOutputError
from edgekit.devices.child import signal_name
from edgekit.devices.runner import load_runtime
from edgekit.errors import InputError, MissingError
from edgekit.measurement import DeviceState

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SCHEME = "adb"
USAGE = "adb://SERIAL or adb://SERIAL?benchmark_model=PATH (`adb devices` lists the serials)"
TOOL = "/data/local/tmp/benchmark_model"
ON_PHONE = ("/data/", "/system/", "/vendor/")
"""A tool's path that begins so is on the phone; any other one is a file of this machine, which is sent."""
BUILDS = "ai.google.dev/edge/litert/models/measurement"
TURN_RUNS = 5
"""Inferences that a turn has at least."""


def open_uri(uri: str) -> Adb:
    """`adb://SERIAL`; raises `InputError` for a URI that is none, `MissingError` where phone or tool is not there."""
    parts = urlsplit(uri)
    serial, given = unquote(parts.netloc), parse_qs(parts.query, keep_blank_values=True)
    if not serial or parts.path.strip("/") or parts.fragment or given.keys() - {"benchmark_model"}:
        raise InputError(f"{uri!r} names no phone", hint=USAGE)
    device = Adb(_session(serial), given.get("benchmark_model", [TOOL])[-1])
    device.check()
    return device


@cache
def _session(serial: str) -> Session:
    """One a phone: a program that opens its phone twice is still one user."""
    return Session(Phone(serial))


@dataclass(frozen=True)
class Tool:
    """A `benchmark_model` that lies on the phone."""

    place: str
    version: str
    """The tool tells none: the hash of this build."""
    flags: frozenset[str]
    said: str
    """Its answer to `--help`."""


class Adb(TimesOnly):
    """A phone; each job is a process of `benchmark_model` there, on its last cores where it has `taskset`."""

    def __init__(self, session: Session, tool: str) -> None:
        self._session, self._phone, self._given = session, session.phone, tool
        self._counted: dict[str, counting.Counts] = {}

    @cached_property
    def name(self) -> str:
        """`adb (<model>, <processor>, Android <release>)`."""
        facts = self._facts
        return f"adb ({facts['model']}, {facts['cpu']}, {facts['system'].partition(',')[0]})"

    def state(self) -> DeviceState:
        """Clocks, governor, temperatures, load, memory, battery, Android's thermal status."""
        return DeviceState(facts=ask_state(self._phone))

    def check(self) -> None:
        """Raise `MissingError` where the phone does not answer, is in use, or has no tool that runs."""
        self._phone.check()
        if not self._given.startswith(ON_PHONE):
            if not Path(self._given).is_file():
                raise MissingError(
                    f"there is no {self._given} here to send to {self._phone.serial}",
                    hint=f"a path on the phone begins with {' or '.join(ON_PHONE)}",
                )
        elif self._phone.ask(f"[ -f {shlex.quote(self._given)} ] && echo there").strip() != "there":
            serial = self._phone.serial
            raise MissingError(
                f"{serial} has no {self._given}",
                hint=f"a build for it is at {BUILDS}; then: adb -s {serial} push benchmark_model {self._given}",
            )
        if not self._tool.flags:
            raise MissingError(
                f"{self._given} does not run on {self._phone.serial}, or is no benchmark_model: "
                f"{_last_line(self._tool.said)}",
                hint=f"is it executable (chmod 755), and built for this processor? builds: {BUILDS}",
            )

    def call(self, job: Job, inputs: Array | None = None) -> Answer | Failure:
        """Run a job; a crash, a hang (it is ended) or an output that says nothing is a `Failure`.

        Raises `MissingError` where the phone goes away, is another one's or is full, `InputError` for another runtime.
        """
        if unfit := _unfit(job):
            return unfit
        if job.mode == "probe":
            return self._probe(job)
        seconds = _seconds(job, job.limits["min_seconds"])
        found = self._process(job.model_files[0], job, int(job.limits["min_samples"]), seconds)
        if isinstance(found, Failure):
            return found
        return self._answer(job, inputs, [found])

    def call_together(
        self, jobs: Sequence[Job], inputs: Sequence[Array], turns: int
    ) -> list[Answer | Failure]:
        """Run latency jobs by turns, A B, B A, A B, …; a turn is a process of its own.

        Raises as `call` does, and `InputError` for an injected slowdown.
        """
        outcomes: list[Failure | None] = [_unfit(job) for job in jobs]
        read: list[list[Reading]] = [[] for _ in jobs]
        for turn in range(turns):
            places = range(len(jobs)) if turn % 2 == 0 else reversed(range(len(jobs)))
            for place in places:
                if any(outcomes):
                    break
                job = jobs[place]
                seconds = _seconds(job, job.limits["turn_seconds"])
                found = self._process(job.model_files[0], job, TURN_RUNS, seconds)
                if isinstance(found, Failure):
                    outcomes[place] = found
                else:
                    read[place].append(found)
        return [
            failure or self._answer(job, images, readings)
            for failure, job, images, readings in zip(outcomes, jobs, inputs, read, strict=True)
        ]

    def _process(self, model: Path, job: Job, runs: int, seconds: Mapping[str, float]) -> Reading | Failure:
        """One process of the tool, on the cores that the job is given."""
        place, tool = self._session.place(model), self._tool
        arguments = benchmark_model.arguments(
            tool.flags, place, threads=job.threads, runs=runs, seconds=seconds
        )
        ended = self._session.run([*self._pinning(job.threads), tool.place, *arguments], job.timeout_s)
        tail = ended.output[-2000:]
        if ended.code is None:
            return Failure("hang", f"no answer within {job.timeout_s:g} s from benchmark_model", tail)
        if 128 < ended.code <= 128 + max(signal.valid_signals()):
            name = signal_name(ended.code - 128, "Android's low-memory killer")
            return Failure("crash", f"{name} killed benchmark_model", tail)
        if ended.code:
            return Failure(
                "error", f"benchmark_model ended with status {ended.code}: {_last_line(tail)}", tail
            )
        try:
            return benchmark_model.read(ended.output)
        except UnknownOutputError as error:
            return Failure("error", f"benchmark_model: {error}", tail)

    def _answer(self, job: Job, inputs: Array | None, readings: Sequence[Reading]) -> Answer | Failure:
        if not readings:
            return Failure("error", "the other side failed before this one was measured")
        digest = files.sha256(job.model_files[0])
        if digest not in self._counted:
            counted = counting.count(job, inputs)
            if isinstance(counted, Failure):
                return counted
            self._counted[digest] = counted
        cores = self._cores(job.threads)
        return adb_answer.latency(readings, self._counted[digest], cores=cores, version=self._tool.version)

    def _probe(self, job: Job) -> Answer | Failure:
        runtime = load_runtime(job.runtime)
        with tempfile.TemporaryDirectory(prefix="edgekit-") as folder:
            model = Path(folder) / "tiny"
            model.write_bytes(counting.tiny_model(runtime))
            found = self._process(model, job, 1, {"warmup": 0.0, "min": 0.0, "max": 1.0})
        if isinstance(found, Failure):
            return found
        precisions = runtime.precisions()
        return Answer({"load_ns": found.load_ns, "precisions": precisions, "version": self._tool.version})

    @cached_property
    def _tool(self) -> Tool:
        """The tool, sent where it is a file of this machine, and what its help says."""
        if self._given.startswith(ON_PHONE):
            place = self._given
            hashed = re.match(r"[0-9a-f]{64}", self._phone.ask(f"sha256sum {shlex.quote(place)}"))
            build = hashed[0][:12] if hashed else "of unknown build"
        else:
            place, build = self._session.place(Path(self._given)), files.sha256(Path(self._given))[:12]
        told = self._session.run([place, "--help"], timeout_s=60)
        flags = benchmark_model.flags(told.output)
        return Tool(place, f"benchmark_model {build}", flags, told.output)

    @cached_property
    def _facts(self) -> Mapping[str, str]:
        """The state when it was first asked for: what stays the same is taken from it."""
        return ask_state(self._phone)

    @cached_property
    def _has_taskset(self) -> bool:
        return self._phone.shell("command -v taskset").code == 0

    def _cores(self, threads: int) -> list[int]:
        """The last ones, which are the large ones where a processor has two kinds; none where nothing can be chosen."""
        count = self._facts["cores"]
        if not self._has_taskset or not count.isdigit():
            return []
        return list(range(int(count)))[-threads:]

    def _pinning(self, threads: int) -> list[str]:
        """Android's taskset takes the cores as a hexadecimal mask."""
        cores = self._cores(threads)
        return ["taskset", f"{sum(1 << core for core in cores):x}"] if cores else []


def _unfit(job: Job) -> Failure | None:
    """Why a job cannot be done with `benchmark_model`.

    Raises `InputError` for another runtime or an injected slowdown.
    """
    runtime = load_runtime(job.runtime)
    if runtime.NAME != adb_answer.RUNTIME:
        raise InputError(
            f"{runtime.NAME} does not run over adb: benchmark_model runs LiteRT files alone",
            hint="choose a target whose format is tflite (`edgekit targets`)",
        )
    if job.mode == "layers":
        return Failure("error", "benchmark_model tells no times of operators here")
    if job.mode == "predict":
        return Failure("error", "benchmark_model gives no outputs: they must be computed on this machine")
    if "slowdown" in job.limits:
        raise InputError(
            "benchmark_model's calls cannot be made slower: there is no injected slowdown on an adb device",
            hint="test the gate on `local`",
        )
    return None


def _seconds(job: Job, least: float) -> dict[str, float]:
    return {"warmup": job.limits["warmup_seconds"], "min": least, "max": job.limits["max_seconds"]}


def _last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it wrote nothing"])[-1]
