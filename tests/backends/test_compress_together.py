"""`accelerate launch edgekit compress`: two processes, one run."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from launching import launched
from small_runs import MODEL, recipe

PROGRAM = """
from edgekit.bench import Protocol
from edgekit.cli.app import main
from edgekit.pipeline import assess

assess.PROTOCOL = Protocol(blocks=1, warmup_seconds=0.01, min_seconds=0.01, max_seconds=0.2, min_samples=3)
main()
"""
"""The console script, with measurements as short as they can be."""
STAGES = """
[[stages]]
kind = "recover"
epochs = 2
held_out = 0.1
"""


@pytest.fixture
def program(tmp_path: Path) -> str:
    path = tmp_path / "program.py"
    path.write_text(PROGRAM)
    return str(path)


def test_one_report_and_one_voice(program: str, tmp_path: Path) -> None:
    small = Path(recipe(tmp_path, stages=STAGES))
    small.write_text(small.read_text().replace("epochs = 8", "epochs = 1"))
    options = [f"--recipe={small}", f"--out={tmp_path / 'run'}", "--width=0.25", "--input-size=32", "--json"]
    done = launched(
        program, "compress", MODEL, "--target=host", *options, XDG_CACHE_HOME=str(tmp_path / "cache")
    )
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert [step["stage"] for step in document["steps"]] == ["baseline", "recover", "export"]
    assert done.stderr.count("train the baseline ...") == 1
    assert done.stderr.count("recover ...") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["cache", "program.py", "run", "small.toml"]


def test_bad_input_is_told_once_and_ends_both(program: str) -> None:
    done = launched(program, "compress", "mobilenetv9", "--target=host")
    assert done.returncode != 0
    assert done.stderr.count("'mobilenetv9'") == 1
    assert done.stdout == ""
