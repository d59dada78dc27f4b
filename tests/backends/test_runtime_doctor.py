"""What the doctor says here, and of a machine that lacks things."""

from __future__ import annotations

import importlib.metadata
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from edgekit import doctor, runtimes

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def found() -> dict[str, doctor.Check]:
    return {check.name: check for check in doctor.checks("local")}


@pytest.mark.parametrize("name", ["onnxruntime", "openvino", "litert"])
def test_every_runtime_opens_its_tiny_model(found: dict[str, doctor.Check], name: str) -> None:
    check = found[f"runtime {name}"]
    assert check.ok
    assert check.detail.startswith(importlib.metadata.version(runtimes.find(name).distribution))
    assert "f32" in check.detail
    assert check.mend == ""


def test_packages_are_told_with_their_versions(found: dict[str, doctor.Check]) -> None:
    for name in doctor.PACKAGES:
        assert found[name].detail == importlib.metadata.version(name)
    assert found["python"].ok
    assert found["device"].detail.startswith("local (")


def test_torch_is_asked_in_a_child(found: dict[str, doctor.Check]) -> None:
    assert found["torch's device"].ok
    assert found["torch's device"].detail


def test_what_fails_comes_with_what_mends_it(found: dict[str, doctor.Check]) -> None:
    for check in found.values():
        assert check.ok != bool(check.mend), check


def test_an_unknown_device_is_a_check_that_failed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        doctor, "_torch_device", lambda: doctor.Check(name="torch's device", ok=True, detail="")
    )
    found = {check.name: check for check in doctor.checks("carrier-pigeon://nobody")}
    assert not found["device"].ok
    assert found["device"].mend.startswith("known: ")
    assert not any(name.startswith("runtime ") for name in found)


def test_missing_packages_are_told_with_their_pip_line(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    absent, crashing = tmp_path / "absent.py", tmp_path / "crashing.py"
    absent.write_text("import a_package_that_nobody_has")
    crashing.write_text("import os, signal\nos.kill(os.getpid(), signal.SIGILL)")
    litert = runtimes.find("litert")
    fakes = {
        "absent": replace(litert, name="absent", file=absent),
        "ill": replace(litert, name="ill", file=crashing),
    }
    monkeypatch.setattr(runtimes, "runtimes", lambda: fakes)
    monkeypatch.setattr(doctor, "PACKAGES", {"no-such-distribution": "litert", "nor-this": ""})
    monkeypatch.setattr(
        doctor, "_torch_device", lambda: doctor.Check(name="torch's device", ok=True, detail="")
    )
    found = {check.name: check for check in doctor.checks("local")}
    assert found["no-such-distribution"].mend == "pip install 'edgekit[litert]'"
    assert found["nor-this"].mend == "pip install edgekit"
    assert found["runtime absent"].detail == "a_package_that_nobody_has is not installed"
    assert found["runtime absent"].mend == "pip install 'edgekit[litert]'"
    assert found["runtime ill"].detail == "SIGILL killed crashing while loading the runtime"
    assert found["runtime ill"].mend == "pip install --force-reinstall ai-edge-litert"


def test_a_torch_that_does_not_import_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "ASK_TORCH", "raise ImportError('libc10.so: cannot open shared object file')")
    check = doctor._torch_device()
    assert not check.ok
    assert check.detail == "ImportError: libc10.so: cannot open shared object file"


def test_tensorrt_is_looked_for_in_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A Jetson without its Python bindings on the PATH: board and trtexec are there."""
    for name, text in (
        ("etc/nv_tegra_release", "# R36 (release), REVISION: 4.3\nmore\n"),
        ("usr/src/tensorrt/bin/trtexec", ""),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True)
        path.write_text(text)
    monkeypatch.setattr("shutil.which", lambda program: None)
    stages = {check.name: check for check in doctor._tensorrt(tmp_path)}
    assert stages["TensorRT device"].detail == "# R36 (release), REVISION: 4.3"
    assert stages["TensorRT trtexec"].detail == "/usr/src/tensorrt/bin/trtexec"
    bare = {check.name: check for check in doctor._tensorrt(tmp_path / "etc")}
    assert not bare["TensorRT device"].ok
    assert "apt-get install tensorrt" in bare["TensorRT trtexec"].mend
