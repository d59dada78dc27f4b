"""Jobs on a phone, through the real adb client: what comes back, what is sent, what stays behind."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import pytest
import tflite_files
from phone import TEMPORARY, PhoneFolder, scripted_tool
from phone_jobs import LIMITS, SIDE, Connect, inputs, job

from edgekit import files
from edgekit.artifact import load_artifact
from edgekit.bench import Candidate, Protocol, measure
from edgekit.devices import Answer, Device, Failure, Job, adb, answering, open_device
from edgekit.devices.local import Local
from edgekit.errors import InputError
from edgekit.measurement import Executed
from edgekit.pipeline.assess import Assessment, Assessor
from edgekit.pipeline.layer_times import times_of
from edgekit.pipeline.place import Place
from edgekit.progress import Silent
from edgekit.runtimes import find

pytestmark = pytest.mark.adb
ONE = Protocol(blocks=1)
FACTS = {
    "cpu": "SM8550",
    "model": "Test Phone",
    "machine": "aarch64",
    "system": "Android 14, Linux 5.10.157-android13",
    "cores": "8",
    "usable_cores": "8",
    "power_mode": "normal",
    "governor": "walt",
    "clock_mhz": "1200, 1200, 1200, 1200, 2800, 2800, 2800, 2800",
    "max_clock_mhz": "2016, 2016, 2016, 2016, 3187.2, 3187.2, 3187.2, 3187.2",
    "throttle_events": "thermal status 0",
    "temperature_c": "41.5, 33",
    "thermal_zones": "CPU0, skin",
    "load_1min": "1.25",
    "memory_total_mb": "8192",
    "busy_ticks": "163",
    "uptime_s": "5000.25",
    "battery_percent": "87",
    "battery_temperature_c": "28.5",
    "charging_from": "USB",
    "cpu_quota": "unknown",
    "cpu_pressure_us": "unknown",
}


def run(device: Device, work: Job) -> Answer:
    outcome = device.call(work, inputs())
    assert isinstance(outcome, Answer), outcome
    return outcome


@pytest.mark.parametrize(("flavour", "shell_v2"), [("v1", True), ("v1-old", False), ("v2", False)])
def test_a_process_is_a_block_of_one_sample(
    flavour: str, shell_v2: bool, tmp_path: Path, connect: Connect
) -> None:
    phone = PhoneFolder(tmp_path / "phone", shell_v2=shell_v2)
    phone.install_tool(flavour)
    values = run(open_device(f"adb://{connect(phone)}"), job(tmp_path)).values
    (sample,) = values["samples_ns"]
    assert 1_000 < sample < 100_000_000
    assert len(values["warmup_ns"]) == 1
    assert values["load_ns"] > 0
    assert values["clock_ns"] == 1000
    assert values["peak_rss_bytes"] == 0
    assert values["cores"] == [6, 7]
    assert (phone.root / "masks").read_text() == "c0\n"
    executed = Executed.model_validate(values["executed"])
    assert executed.operators == {"RELU": 1}
    assert executed.sample_of == "process"
    assert executed.details["delegate"] == "XNNPACK"
    assert executed.details["delegated"] == ("1 of 1" if flavour == "v2" else "completely")
    assert executed.details["sample"].startswith("the mean of " if flavour == "v1-old" else "the median of ")
    assert "on this machine" in executed.details["operators_from"]


def test_a_file_is_sent_once_and_nothing_stays(quick: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    phone, device = quick, open_device(f"adb://{connect(quick)}")
    work = job(tmp_path)
    run(device, work)
    copy = tmp_path / "a copy.tflite"
    copy.write_bytes(work.model_files[0].read_bytes())
    run(device, replace(work, model_files=(copy,)))
    assert len(phone.sent) == 1
    copy.write_bytes(tflite_files.relu(SIDE // 2))
    run(device, replace(work, model_files=(copy,)))
    assert len(phone.sent) == 2
    assert phone.left_over() == ["edgekit-session"]
    adb._session(phone_serial(device)).close()
    assert phone.left_over() == []
    assert phone.running() == []


def phone_serial(device: Device) -> str:
    assert isinstance(device, adb.Adb)
    return device._phone.serial


def test_a_tool_of_this_machine_is_sent(quick: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    quick.place(f"{TEMPORARY}/benchmark_model").unlink()
    given = tmp_path / 'my tool\'s "own" build'
    given.write_text(scripted_tool())
    device = open_device(f"adb://{connect(quick)}?benchmark_model={given}")
    version = run(device, job(tmp_path)).values["version"]
    assert version.startswith("benchmark_model ")
    assert len(quick.sent) == 2
    given.write_text(scripted_tool({"another": 1}))
    other = open_device(f"adb://{phone_serial(device)}?benchmark_model={given}")
    assert run(other, job(tmp_path)).values["version"] != version


def test_names_with_spaces_and_quotes(quick: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    name = 'it\'s "quoted"; $(touch owned) benchmark_model'
    quick.place(f"{TEMPORARY}/benchmark_model").rename(quick.place(f"{TEMPORARY}/{name}"))
    device = open_device(f"adb://{connect(quick)}?benchmark_model=/{TEMPORARY}/{name}")
    work = job(tmp_path, name='it\'s a "model"; $(touch owned) `touch owned`.tflite')
    assert run(device, work).values["samples_ns"]
    assert not list(quick.root.rglob("owned"))


def test_a_phone_without_taskset_runs_anywhere(quick: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    (quick.root / "bin/taskset").unlink()
    values = run(open_device(f"adb://{connect(quick)}"), job(tmp_path)).values
    assert values["cores"] == []
    assert values["executed"]["details"]["cores"].startswith("not chosen")


def test_turns_alternate_between_processes(quick: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    phone, device = quick, open_device(f"adb://{connect(quick)}")
    (tmp_path / "other").mkdir()
    jobs = [job(tmp_path), job(tmp_path / "other")]
    jobs[1].model_files[0].write_bytes(tflite_files.relu(SIDE + 16))
    turns = {"turn_seconds": 0.01}
    timed = [replace(one, limits=LIMITS | turns) for one in jobs]
    outcomes = device.call_together(timed, [inputs()] * 2, turns=3)
    for outcome in outcomes:
        assert isinstance(outcome, Answer)
        assert len(outcome.values["samples_ns"]) == len(outcome.values["warmup_ns"]) == 3
        assert outcome.values["turns"] == [1, 1, 1]
    graphs = [one.partition("--graph=")[2].split(" ")[0] for one in phone.commands if "--graph=" in one]
    first, second = graphs[:2]
    assert graphs == [first, second, second, first, first, second]
    slowed = replace(timed[0], limits={**timed[0].limits, "slowdown": 0.1})
    with pytest.raises(InputError, match="cannot be made slower"):
        device.call_together([slowed], [inputs()], turns=1)


def test_a_probe_runs_the_tiny_model(phone: PhoneFolder, connect: Connect) -> None:
    device = open_device(f"adb://{connect(phone)}")
    outcome = device.call(Job("probe", find("litert").file))
    assert isinstance(outcome, Answer)
    assert outcome.values["precisions"] == ["f32"]
    with pytest.raises(InputError, match="openvino does not run over adb"):
        device.call(Job("probe", find("openvino").file))


def test_a_run_s_report_has_no_times_of_layers(
    quick: PhoneFolder, tmp_path: Path, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    artifact, said = load_artifact(tflite_files.artifact(tmp_path / "artifact")), list[str]()
    device = open_device(f"adb://{connect(quick)}")
    profile = measure(Candidate("shipped", artifact, "litert"), device, threads=1, protocol=ONE)
    shipped = SimpleNamespace(artifact=artifact, profile=profile, options=(), cost=SimpleNamespace(layers=()))
    place, progress = Place(device, "litert", on_target=True), Silent()
    monkeypatch.setattr(Silent, "say", lambda _, text: said.append(text))
    assessor = SimpleNamespace(place=place, progress=progress)
    assert times_of(cast("Assessor", assessor), cast("Assessment", shipped)) is None
    assert said[-1] == "no times of layers: benchmark_model tells no times of operators here"


def test_outputs_are_this_machine_s(phone: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    device = open_device(f"adb://{connect(phone)}")
    outcome = device.call(job(tmp_path, "predict"), inputs())
    assert isinstance(outcome, Failure)
    assert "gives no outputs" in outcome.reason
    assert isinstance(answering(device), Local)
    own = Local()
    assert answering(own) is own


def test_the_state_is_the_phone_s(phone: PhoneFolder, connect: Connect) -> None:
    device = open_device(f"adb://{connect(phone)}")
    facts = device.state().facts
    assert {name: facts[name] for name in FACTS} == FACTS
    assert device.name == "adb (Test Phone, SM8550, Android 14)"
    phone.write("thermal_status", "3\n")
    assert device.state().facts["throttle_events"] == "thermal status 3"


def test_what_a_phone_does_not_tell_is_unknown(tmp_path: Path, connect: Connect) -> None:
    phone = PhoneFolder(tmp_path / "phone")
    phone.install_tool()
    for name in ("dumpsys", "getprop", "settings", "nproc", "uname"):
        (phone.root / "bin" / name).write_text("#!/bin/sh\nexit 1\n")
    for path in (*(phone.root / "sys").rglob("scaling_*"), *(phone.root / "proc").glob("*[!s]")):
        if path.is_file():
            path.unlink()
    facts = open_device(f"adb://{connect(phone)}").state().facts
    told = {"system", "cores"}
    assert {value for name, value in facts.items() if name not in told} == {"unknown"}
    assert facts["system"] == "Android unknown, Linux unknown"


def test_a_program_that_ends_leaves_nothing(phone: PhoneFolder, connect: Connect) -> None:
    script = f"""
from edgekit.devices import open_device
open_device({f"adb://{connect(phone)}"!r}).state()
raise KeyboardInterrupt
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=120, check=False
    )
    assert "KeyboardInterrupt" in ended.stderr
    assert any("edgekit-session" in command for command in phone.commands)
    assert phone.left_over() == []


def test_a_side_that_fails_ends_the_turns(quick: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    device = open_device(f"adb://{connect(quick)}")
    work = replace(job(tmp_path), limits=LIMITS | {"turn_seconds": 0.01})
    (tmp_path / "bad").mkdir()
    bad = replace(work, model_files=(tmp_path / "bad" / "model.tflite",))
    bad.model_files[0].write_bytes(b"bad")
    dies = f"case $* in *{files.sha256(bad.model_files[0])[:24]}*) kill -SEGV $$;; esac"
    quick.install(scripted_tool().replace("us=1000", f"us=1000; {dies}", 1))
    for order, samples in (([work, bad], 1), ([bad, work], 0)):
        outcomes = dict(zip(map(id, order), device.call_together(order, [inputs()] * 2, 5), strict=True))
        failed, other = outcomes[id(bad)], outcomes[id(work)]
        assert isinstance(failed, Failure)
        assert failed.kind == "crash"
        assert "SIGSEGV killed benchmark_model" in failed.reason
        if samples:
            assert isinstance(other, Answer)
            assert len(other.values["samples_ns"]) == samples
        else:
            assert isinstance(other, Failure)
            assert "the other side failed" in other.reason
