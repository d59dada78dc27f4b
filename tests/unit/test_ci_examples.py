"""`examples/ci`: the YAML keeps the rules of its README, and its gate commands run as they stand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml  # type: ignore[import-untyped]
from gate_files import artifact

from edgekit import files

ROOT = Path(__file__).parents[2]
CI = ROOT / "examples" / "ci"
Job = dict[str, Any]

# `edgekit` as these jobs find it on their PATH: the real command, on a device that answers from a script.
EDGEKIT = """#!{python}
import os, sys
sys.path[:0] = [{root!r}, {support!r}]
from gate_files import Noisy
from edgekit import devices
devices.open_device = lambda uri: Noisy(float(os.environ["RATIO"])) if uri == "local" else 1 / 0
from edgekit.cli.app import main
main()
"""


def document(name: str) -> dict[Any, Any]:
    found: dict[Any, Any] = yaml.safe_load((CI / name).read_text(encoding="utf-8"))
    return found


def github_jobs() -> dict[str, Job]:
    return dict(document("github-latency.yml")["jobs"])


def gitlab_jobs() -> dict[str, Job]:
    """Each with what it extends."""
    jobs = document("gitlab-latency.yml")
    jobs.pop("stages")
    return {name: {**jobs.get(job.get("extends"), {}), **job} for name, job in jobs.items() if name[0] != "."}


def scripts() -> list[str]:
    """Every script that runs the gate."""
    steps = [step["run"] for job in github_jobs().values() for step in job["steps"] if "run" in step]
    lines = [line for job in gitlab_jobs().values() for line in job["script"]]
    return [script for script in (*steps, *lines) if "edgekit compare" in script]


def on_devices(jobs: dict[str, Job], key: str) -> list[Job]:
    found = [job for job in jobs.values() if key in job]
    assert found
    return found


def test_github_runs_one_job_a_device_and_never_a_stranger_s_code() -> None:
    devices = [job for job in github_jobs().values() if "self-hosted" in job["runs-on"]]
    assert devices
    for job in devices:
        assert job["runs-on"] == ["self-hosted", "${{ matrix.device }}"]
        assert job["concurrency"] == {"group": "device-${{ matrix.device }}", "cancel-in-progress": False}
        assert "github.event.pull_request.head.repo.full_name == github.repository" in job["if"]
        assert job["strategy"]["fail-fast"] is False
        assert len(job["strategy"]["matrix"]["device"]) > 1
    triggers = document("github-latency.yml")[True]  # YAML 1.1 reads `on` as a truth value
    assert "pull_request_target" not in triggers  # it would hand a fork the repository's own rights
    assert document("github-latency.yml")["permissions"] == {"contents": "read"}


def test_gitlab_runs_one_job_a_device_and_never_a_stranger_s_code() -> None:
    devices = on_devices(gitlab_jobs(), "tags")
    assert len({tag for job in devices for tag in job["tags"]}) > 1
    for job in devices:
        (tag,) = job["tags"]
        assert job["resource_group"] == f"device-{tag}"
        assert job["interruptible"] is False
        if any("merge_request_event" in rule["if"] for rule in job["rules"]):
            assert "$CI_MERGE_REQUEST_SOURCE_PROJECT_ID != $CI_PROJECT_ID" in job["rules"][0]["if"]
            assert job["rules"][0]["when"] == "never"


def test_gitlab_s_devices_are_in_no_pipeline_without_what_they_need() -> None:
    jobs = gitlab_jobs()
    for job in jobs.values():
        asked = [rule["if"] for rule in job["rules"] if rule.get("when") != "never"]
        for needed in job.get("needs", []):
            assert [rule["if"] for rule in jobs[needed]["rules"]] == asked


def test_no_job_but_a_device_s_runs_the_gate() -> None:
    for jobs, key in ((github_jobs(), "concurrency"), (gitlab_jobs(), "resource_group")):
        for job in jobs.values():
            assert key in job or "edgekit compare" not in json.dumps(job)


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A repository with its base, its pointer and a candidate, and `edgekit` beside it."""
    base = artifact(tmp_path / "baseline")
    artifact(tmp_path / "runs" / "candidate")
    pin = {"artifact": "baseline", "sha256": {"model.onnx": files.sha256(base / "model.onnx")}}
    files.write_json(tmp_path / "baseline.json", pin)
    tool = tmp_path / "bin" / "edgekit"
    text = EDGEKIT.format(python=sys.executable, root=str(ROOT), support=str(ROOT / "tests" / "support"))
    files.write_text(tool, text)
    tool.chmod(0o755)
    return tmp_path


def ran(script: str, folder: Path, ratio: float) -> int:
    environment = {
        **os.environ,
        "PATH": f"{folder / 'bin'}:{os.environ['PATH']}",
        "HOME": str(folder),
        "RATIO": str(ratio),
    }
    return subprocess.run(["bash", "-e", "-c", script], cwd=folder, env=environment, check=False).returncode


@pytest.mark.parametrize("script", sorted(set(scripts())))
def test_the_gate_s_commands_run_as_they_stand(script: str, checkout: Path) -> None:
    assert ran(script, checkout, 1.0) == 0
    if "--self-test" not in script:
        assert json.loads((checkout / "gate.json").read_text())["verdict"] == "pass"
        assert (checkout / "gate.md").read_text().startswith("## Latency on noisy: pass")
        assert ran(script, checkout, 1.3) == 1
    if "--history" in script:
        assert len((checkout / "edgekit-latency.jsonl").read_text().splitlines()) == 2


def test_both_files_hold_the_same_gate() -> None:
    commands = {" ".join(script.replace("\\\n", " ").split()) for script in scripts()}
    gates = {command.partition("--junit")[0] for command in commands if "--self-test" not in command}
    assert gates == {"edgekit compare baseline.json runs/candidate --device local --max-regression 5% "}
