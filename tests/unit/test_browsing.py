"""What was measured in a browser stays, whatever becomes of its page afterwards."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pytest

from edgekit.devices import Device, Failure, Opened
from edgekit.devices.local import Local
from edgekit.errors import MissingError
from edgekit.measurement import DeviceState, Executed, Profile
from edgekit.pipeline.browsing import KnownAnswers, app_path, tell, tell_threads
from edgekit.pipeline.place import Place
from edgekit.progress import Silent


class Page(Local, Opened):
    """A page that gives these times, or is gone."""

    def __init__(self, times: Mapping[str, Sequence[int]] | Failure | None) -> None:
        super().__init__()
        self.times, self.shown = times, dict[str, str]()

    def app_path(self) -> Mapping[str, Sequence[int]] | Failure:
        if self.times is None:
            raise MissingError("the page was closed before it had answered")
        return self.times

    def done(self, summary: Mapping[str, str]) -> None:
        if self.times is None:
            raise MissingError("the page was closed before it had answered")
        self.shown = dict(summary)


class Told(Silent):
    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, line: str) -> None:
        self.lines.append(line)


def at(device: Device) -> Place:
    return Place(device, "onnxruntime", on_target=True)


def profile(threads: int = 2) -> Profile:
    state = DeviceState(facts={"isolated": "no: plain http is no secure context", "cores": "8"})
    ran = Executed(operators={}, integer_operators=0, float_operators=1, float_precision="f32")
    return Profile(
        device="web",
        runtime="onnxruntime",
        runtime_version="web 1",
        threads=threads,
        blocks_ns=((2_000_000, 4_000_000),),
        warmup_ns=((1,),),
        load_ns=(1,),
        executed=ran,
        before=state,
        after=state,
    )


KNOWN = KnownAnswers(inputs=4, largest_difference=0.001, tolerance=0.01, answered_by="onnxruntime 1")


def test_the_result_is_shown_on_the_page() -> None:
    page, told = Page({"decode": [1_000_000, 3_000_000, 2_000_000], "infer": [500_000] * 3}), Told()
    path = app_path(at(page), told, pictured=True)
    assert path is not None
    assert (path.stages_ms, path.total_ms, path.runs) == ({"decode": 2.0, "infer": 0.5}, 2.5, 3)
    tell(at(page), profile(), KNOWN, path, told)
    assert page.shown["median"] == "3 ms"
    assert page.shown["from a photo"] == "decode 2 ms, infer 0.5 ms"
    assert told.lines == []


@pytest.mark.parametrize("times", [None, Failure("error", "no memory")])
def test_a_page_that_is_gone_or_fails_afterwards_is_said(times: Failure | None) -> None:
    page, told = Page(times), Told()
    assert app_path(at(page), told, pictured=True) is None
    tell(at(page), profile(), KNOWN, None, told)
    assert told.lines[0].startswith("from a photo to its answer: ")
    assert len(told.lines) == (2 if times is None else 1)


def test_other_devices_are_told_nothing() -> None:
    told = Told()
    assert app_path(at(Local()), told, pictured=True) is None
    tell(at(Local()), profile(), None, None, told)
    assert told.lines == []


def test_fewer_threads_than_were_asked_for_are_said() -> None:
    told = Told()
    tell_threads(profile(2), 2, told)
    assert told.lines == []
    tell_threads(profile(1), 4, told)
    assert told.lines == ["1 of 4 threads: isolated: no: plain http is no secure context, cores: 8"]
