"""The commands that take a device, on a phone: from the command line to the phone and back."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tflite_files
from phone import TEMPORARY, PhoneFolder, scripted_tool
from phone_jobs import Connect
from typer.testing import CliRunner, Result

from edgekit import files
from edgekit.cli.app import app
from edgekit.runtimes import runtimes

pytestmark = pytest.mark.adb


def run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [*map(str, arguments)])


def test_profile_measures_a_file_on_the_phone(phone: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    folder, uri = tflite_files.artifact(tmp_path / "artifact", side=384), f"adb://{connect(phone)}"
    result = run("profile", folder, "--target", "android", "--device", uri, "--json")
    assert result.exit_code == 0, result.output
    latency = json.loads(result.stdout)["latency"]
    assert latency["device"] == "adb (Test Phone, SM8550, Android 14)"
    assert [len(block) for block in latency["blocks_ns"]] == [1, 1, 1]
    assert latency["p50_ms"] == pytest.approx(np.median(latency["samples_ns"]) / 1e6)
    assert latency["p90_ms"] is latency["p99_ms"] is None
    assert latency["executed"]["details"]["delegated"] == "completely"
    assert latency["before"]["facts"]["battery_percent"] == "87"


def test_profile_prints_no_tail(quick: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    folder = tflite_files.artifact(tmp_path / "artifact")
    printed = run("profile", folder, "--device", f"adb://{connect(quick)}").stdout
    assert "p50 1.000 ms" in printed
    assert "each sample" in printed
    assert "p90" not in printed


@pytest.mark.parametrize(("microseconds", "verdict", "code"), [(1000, "pass", 0), (1300, "fail", 1)])
def test_compare_holds_two_files_on_the_phone(
    microseconds: int,
    verdict: str,
    code: int,
    tmp_path: Path,
    connect: Connect,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(runtimes(), "litert", replace(runtimes()["litert"], turns=2))
    phone = PhoneFolder(tmp_path / "phone")
    sides = [tflite_files.artifact(tmp_path / name) for name in ("base", "candidate")]
    digests = [files.sha256(side / "model.tflite") for side in sides]
    times = dict(zip(digests, (1000, microseconds), strict=True))
    phone.install(scripted_tool(times))
    result = run("compare", *sides, "--device", f"adb://{connect(phone)}", "--json")
    assert result.exit_code == code, result.output
    (case,) = json.loads(result.stdout)["cases"]
    assert case["verdict"] == verdict
    assert case["pairs"] == 10
    assert case["slowdown"]["estimate"] == pytest.approx(microseconds / 1000 - 1)
    assert case["candidate"]["runtime"].startswith("litert benchmark_model ")
    assert {check["name"] for check in case["checks"]} >= {"size_bytes", "float_operators", "parity_db"}
    assert any("parity_db is that of local" in line for line in case["not_compared"])
    assert any("peak_rss_bytes" in line for line in case["not_compared"])
    assert phone.place(TEMPORARY).joinpath("edgekit-session").is_dir(), "until this program ends"


def test_an_injected_slowdown_is_refused(quick: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    folder, uri = tflite_files.artifact(tmp_path / "base"), f"adb://{connect(quick)}"
    for arguments in (("--self-test", folder), (folder, folder, "--inject-slowdown", "10%")):
        result = run("compare", *arguments, "--device", uri)
        assert result.exit_code == 2
        assert "no injected slowdown" in result.stderr
    assert not any("--graph=" in command for command in quick.commands), "before anything is measured"


def test_doctor_shows_a_phone(phone: PhoneFolder, connect: Connect) -> None:
    serial = connect(phone)
    result = run("doctor", "--device", f"adb://{serial}", "--json")
    assert result.exit_code == 0, result.output
    found = {check["name"]: check for check in json.loads(result.stdout)}
    assert found["device"]["detail"] == "adb (Test Phone, SM8550, Android 14)"
    assert found["runtime litert"]["ok"]
    assert "runs f32" in found["runtime litert"]["detail"]
    assert "runtime onnxruntime" not in found, "a phone has one runtime"
    phone.place(f"{TEMPORARY}/benchmark_model").unlink()
    missing = run("doctor", "--device", f"adb://{serial}")
    assert missing.exit_code == 3
    assert "has no /data/local/tmp/benchmark_model" in missing.stdout


@pytest.mark.parametrize("command", ["profile", "compare"])
def test_a_phone_that_is_not_there_exits_3(
    command: str, tmp_path: Path, quick: PhoneFolder, connect: Connect
) -> None:
    connect(quick)
    folder = tflite_files.artifact(tmp_path / "base")
    subjects = [folder] * (1 if command == "profile" else 2)
    result = run(command, *subjects, "--device", "adb://emulator-5554")
    assert result.exit_code == 3
    assert "emulator-5554 is not connected" in result.stderr
    assert "Traceback" not in result.output


def test_a_tool_that_is_killed_exits_4(phone: PhoneFolder, tmp_path: Path, connect: Connect) -> None:
    phone.install_tool("kill")
    folder = tflite_files.artifact(tmp_path / "base")
    result = run("profile", folder, "--target", "android", "--device", f"adb://{connect(phone)}")
    assert result.exit_code == 4
    assert "low-memory killer" in result.stderr
