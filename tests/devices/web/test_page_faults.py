"""What goes wrong around the page: each ends in one clear error here, and the page says why."""

from __future__ import annotations

import time
from dataclasses import replace
from functools import partial
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import numpy as np
import pytest
from browser import Browser
from page_visit import Visit, job_of, on_page, visiting

from edgekit.artifact import ArtifactFolder
from edgekit.bench import latency
from edgekit.devices import Answer, Failure
from edgekit.devices.web import desk
from edgekit.devices.web.device import Web
from edgekit.devices.web.subject import Subject
from edgekit.errors import InputError, MeasurementError, MissingError
from edgekit.pipeline import browsing, profiling

pytestmark = [pytest.mark.chromium, pytest.mark.web]
STATUS = "document.getElementById('status').textContent"
ALARM = "document.getElementById('alarm').textContent"
AT_WORK = f"/^(Opening|Warming|Measuring|Checking)/.test({STATUS})"


@pytest.fixture
def long(monkeypatch: pytest.MonkeyPatch) -> None:
    """Measurements that end only where they are cut off."""
    endless = latency.Protocol(warmup_seconds=60, min_seconds=60, max_seconds=90)
    monkeypatch.setattr(profiling, "compare", partial(latency.compare, protocol=endless))


def at_work(phone: Browser, visit: Visit) -> None:
    phone.visit(visit.link)
    phone.wait(f"{STATUS}.startsWith('Warming')")


def test_a_wrong_token_gets_403_and_is_told_of(onnx_int8: ArtifactFolder, phone: Browser) -> None:
    with visiting(onnx_int8, "web://127.0.0.1?wait=6") as visit:
        origin = "/".join(visit.link.split("/")[:3])
        for path in ("/", "/wrong/", "/wrong/model.onnx", "/../../etc/passwd"):
            with pytest.raises(HTTPError) as refused:
                urlopen(origin + path)
            with refused.value:  # its socket stays open until it is closed
                assert refused.value.code == 403
        phone.visit(f"{origin}/wrong/")
        phone.wait("document.body.innerText.includes('This link is not the one')")
        with pytest.raises(
            MissingError, match=r"nobody opened the link within 6 s \(5 requests came with a wrong"
        ):
            visit.result()


def test_a_page_that_is_left_ends_it_at_once(onnx_int8: ArtifactFolder, phone: Browser, long: None) -> None:
    with visiting(onnx_int8) as visit:
        at_work(phone, visit)
        began = time.monotonic()
        phone.visit("/".join(visit.link.split("/")[:3]))
        with pytest.raises(MissingError, match="the page was closed before it had answered"):
            visit.result()
        assert time.monotonic() - began < desk.LOST_S


def test_a_tab_that_is_closed_ends_it(
    onnx_int8: ArtifactFolder, phone: Browser, long: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A browser gives a busy page that it closes a moment for its last word, and then closes it without.
    monkeypatch.setattr(desk, "LOST_S", 8.0)
    with visiting(onnx_int8) as visit:
        at_work(phone, visit)
        phone.close_tab()
        with pytest.raises(MissingError, match=r"the page was closed|nothing was heard of the page for 8 s"):
            visit.result()


def test_a_page_that_is_loaded_anew_in_its_work_ends_it(
    onnx_int8: ArtifactFolder, phone: Browser, long: None
) -> None:
    with visiting(onnx_int8) as visit:
        at_work(phone, visit)
        phone.call("Page.reload")
        with pytest.raises(MissingError, match=r"the page was (closed|loaded anew)"):
            visit.result()


def test_a_browser_that_dies_is_missed(
    onnx_int8: ArtifactFolder, chromium: str, tmp_path: Path, long: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "LOST_S", 4.0)
    dying = Browser(chromium, tmp_path)
    with visiting(onnx_int8) as visit:
        at_work(dying, visit)
        dying.kill()
        with pytest.raises(MissingError, match="nothing was heard of the page for 4 s"):
            visit.result()


def test_a_second_phone_is_refused_and_the_first_goes_on(onnx_int8: ArtifactFolder, phone: Browser) -> None:
    with visiting(onnx_int8) as visit:
        phone.visit(visit.link)
        phone.wait(AT_WORK)
        first = phone.place
        phone.fresh()
        phone.visit(visit.link)
        phone.wait(f"{ALARM}.includes('Another browser has this link already')")
        assert phone.evaluate(STATUS) == "Stopped."
        phone.place = first
        assert visit.result().latency is not None
        phone.wait(f"{STATUS}.startsWith('Done')")


def offline(phone: Browser, yes: bool) -> None:
    phone.call(
        "Network.emulateNetworkConditions", offline=yes, latency=0, downloadThroughput=-1, uploadThroughput=-1
    )


def test_a_connection_that_is_cut_for_a_moment_is_taken_up_again(
    onnx_int8: ArtifactFolder, phone: Browser
) -> None:
    with visiting(onnx_int8) as visit:
        phone.visit(visit.link)
        phone.wait(AT_WORK)
        offline(phone, True)
        phone.wait(f"{ALARM}.includes('The connection was cut')")
        offline(phone, False)
        assert visit.result().latency is not None
        phone.wait(f"{STATUS}.startsWith('Done')")
        assert phone.evaluate(ALARM) == ""


def test_a_connection_that_stays_cut_ends_it(
    onnx_int8: ArtifactFolder, phone: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(desk, "LOST_S", 4.0)
    with visiting(onnx_int8) as visit:
        phone.visit(visit.link)
        phone.wait(AT_WORK)
        offline(phone, True)
        with pytest.raises(MissingError, match="nothing was heard of the page"):
            visit.result()
        offline(phone, False)
        phone.wait(f"{ALARM}.startsWith('No connection: edgekit has ended')")


def test_wrong_answers_are_no_measurement(
    onnx_int8: ArtifactFolder, phone: Browser, monkeypatch: pytest.MonkeyPatch
) -> None:
    right = browsing.subject_of

    def wrong(artifact: ArtifactFolder, runtime: str, threads: int) -> Subject:
        subject = right(artifact, runtime, threads)
        name = subject.known.outputs[1]
        off = np.frombuffer(subject.known.files[name], dtype="<f4") + np.float32(3 * subject.known.tolerance)
        files = {**subject.known.files, name: off.tobytes()}
        return replace(subject, known=replace(subject.known, files=files))

    monkeypatch.setattr(browsing, "subject_of", wrong)
    with visiting(onnx_int8) as visit:
        phone.visit(visit.link)
        with pytest.raises(MeasurementError, match="answers other than onnxruntime") as refused:
            visit.result()
        assert refused.value.exit_code == 4
        phone.wait(f"{ALARM}.startsWith('edgekit stopped: web (headless Chrome')")


def hungry(folder: Path) -> Path:
    """A file of a few bytes whose inference needs 4 GB: all that WebAssembly may have."""
    import onnx
    from onnx import TensorProto, helper

    shape = helper.make_tensor("shape", TensorProto.INT64, [4], [1, 1, 32000, 32000])
    nodes = [
        helper.make_node("Expand", ["x", "shape"], ["wide"]),
        helper.make_node("ReduceMean", ["wide"], ["y"], keepdims=1),
    ]
    values = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [1, 1, 1, 1]) for name in ("x", "y")]
    graph = helper.make_graph(nodes, "hungry", values[:1], values[1:], [shape])
    path = folder / "hungry.onnx"
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 13)], ir_version=8), path)
    return path


def test_a_model_too_large_for_memory_fails_and_the_page_lives_on(
    onnx_int8: ArtifactFolder, phone: Browser, tmp_path: Path
) -> None:
    def work(device: Web) -> None:
        one = np.ones((1, 1, 1, 1), dtype=np.float32)
        failed = device.call(job_of(hungry(tmp_path), "predict"), one)
        assert isinstance(failed, Failure)
        assert failed.kind in ("error", "crash")
        assert failed.reason.startswith("it may not fit into the memory that a browser gives: ")
        huge = tmp_path / "huge.onnx"
        with huge.open("wb") as stream:
            stream.truncate(1_000_000_001)
        with pytest.raises(InputError, match=r"huge.onnx has 1,000,000,001 bytes, and a browser opens up to"):
            device.call(job_of(huge), one)
        inputs, expected = onnx_int8.parity()
        answer = device.call(job_of(onnx_int8.model_path, "predict"), inputs)
        assert isinstance(answer, Answer)
        assert answer.outputs is not None
        assert answer.outputs.shape == expected.shape

    on_page(phone, onnx_int8, work)


def test_a_broken_file_and_a_hang_are_failures(
    onnx_int8: ArtifactFolder, phone: Browser, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.onnx"
    broken.write_bytes(b"no protobuf")
    inputs = onnx_int8.parity()[0][:1]

    def work(device: Web) -> None:
        failed = device.call(job_of(broken, "predict"), inputs)
        assert isinstance(failed, Failure)
        assert failed.kind == "error"
        endless = {"warmup_seconds": 60.0, "min_seconds": 1.0, "max_seconds": 1.0, "min_samples": 1}
        hung = device.call(job_of(onnx_int8.model_path, limits=endless, timeout_s=3), inputs)
        assert hung == Failure("hang", "no answer within 3 s")

    on_page(phone, onnx_int8, work)


def test_two_files_take_turns(onnx_int8: ArtifactFolder, phone: Browser) -> None:
    inputs = onnx_int8.parity()[0][:1]
    limits = {"warmup_seconds": 0.1, "turn_seconds": 0.05}

    def work(device: Web) -> None:
        jobs = [job_of(onnx_int8.model_path, limits=limits)] * 2
        answers = device.call_together(jobs, [inputs] * 2, 6)
        for answer in answers:
            assert isinstance(answer, Answer)
            assert len(answer.values["turns"]) == 6
            assert sum(answer.values["turns"]) == len(answer.values["samples_ns"])
            assert answer.values["clock_ns"] > 0

    on_page(phone, onnx_int8, work)
