"""Weights from the hub: fetched from a server on this machine that speaks its API, or told why not."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hub_server import commit_of, hub_server

from edgekit import optional
from edgekit.errors import InputError, MissingError
from edgekit.zoo.hub import weights_file

pytestmark = pytest.mark.skipif(not optional.installed("huggingface_hub"), reason="no huggingface_hub here")

REPOSITORIES = {
    "me/tiny": {
        "main": {"config.json": b"{}", "pytorch_model.bin": b"old", "model.safetensors": b"new"},
        "v1": {"pytorch_model.bin": b"first"},
    },
    "me/text": {"main": {"README.md": b"#"}},
    "me/moving": {"main": {"a.safetensors": b"a"}, "main, later": {"a.safetensors": b"b"}},
    "me/many": {"main": {"a.safetensors": b"a", "sub/b.safetensors": b"b"}},
}
ASK = """
import json, sys
from edgekit.errors import EdgekitError
from edgekit.zoo.hub import weights_file
answers = []
for spec in sys.argv[1:]:
    try:
        found = weights_file(spec)
        answers.append({"origin": found.origin, "content": found.path.read_text()})
    except EdgekitError as error:
        answers.append({"code": error.exit_code, "said": str(error)})
print(json.dumps([answers, "torch" in sys.modules]))
"""


@pytest.fixture(scope="module")
def hub() -> Iterator[tuple[str, list[str]]]:
    with hub_server(REPOSITORIES) as server:
        yield server


def ask(*specs: str, home: Path, **environment: str) -> list[dict[str, Any]]:
    """What each spec gives in a process with that environment (the hub's library reads it when imported)."""
    own = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUGGING"))}
    done = subprocess.run(
        [sys.executable, "-c", ASK, *specs],
        env=own | {"HF_HOME": str(home), "NO_PROXY": "127.0.0.1"} | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    answers, torch_too = json.loads(done.stdout)
    assert not torch_too
    assert "%|" not in done.stderr  # a progress bar is for terminals
    found: list[dict[str, Any]] = answers
    return found


def test_weights_are_fetched_once_and_kept(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    address, seen = hub
    commits = {revision: commit_of("me/tiny", revision) for revision in ("main", "v1")}
    specs = ("hf:me/tiny", "hf:me/tiny@v1", f"hf:me/tiny@{commits['v1']}", "hf:me/many/sub/b.safetensors",
             "hf:me/tiny/pytorch_model.bin")  # fmt: skip
    found = ask(*specs, home=tmp_path, HF_ENDPOINT=address)
    assert [answer["content"] for answer in found] == ["new", "first", "first", "b", "old"]
    assert found[0]["origin"] == f"hf:me/tiny@{commits['main']}/model.safetensors"
    assert found[1]["origin"] == f"hf:me/tiny@{commits['v1']}/pytorch_model.bin"
    seen.clear()
    assert ask(*specs, home=tmp_path, HF_ENDPOINT=address, HF_HUB_OFFLINE="1") == found
    assert seen == []
    assert ask(*specs, home=tmp_path, HF_ENDPOINT="http://127.0.0.1:9") == found
    (missing,) = ask("hf:me/many/a.safetensors", home=tmp_path, HF_HUB_OFFLINE="1")
    assert missing["code"] == 3


def test_the_commit_that_is_told_is_the_one_that_was_fetched(
    hub: tuple[str, list[str]], tmp_path: Path
) -> None:
    (found,) = ask("hf:me/moving", home=tmp_path, HF_ENDPOINT=hub[0])
    assert found["content"] == "b"
    assert found["origin"] == f"hf:me/moving@{commit_of('me/moving', 'main, later')}/a.safetensors"
    assert ask("hf:me/moving", home=tmp_path, HF_HUB_OFFLINE="1") == [found]


def test_names_that_no_repository_has_are_refused(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    specs = ("hf:foo/bar..baz", "hf:foo/bar--baz", "hf:.a/b", "hf:a/b.git", f"hf:a/{'b' * 120}", "hf:a/ö")
    for environment in ({"HF_ENDPOINT": hub[0]}, {"HF_HUB_OFFLINE": "1"}):
        for answer in ask(*specs, home=tmp_path, **environment):
            assert answer["code"] == 2
            assert "is no name that the hub gives" in answer["said"]


def test_what_is_not_there_is_said(hub: tuple[str, list[str]], tmp_path: Path) -> None:
    wanted = {
        "hf:me/nothing": (2, "no repository me/nothing"),
        "hf:me/tiny@v2": (2, "has no revision v2"),
        "hf:me/tiny/x.safetensors": (2, "it holds config.json, model.safetensors, pytorch_model.bin"),
        "hf:me/text": (2, "it holds README.md"),
        "hf:me/many": (2, "hf:me/many/a.safetensors"),
    }
    answers = ask(*wanted, home=tmp_path, HF_ENDPOINT=hub[0])
    for answer, (code, said) in zip(answers, wanted.values(), strict=True):
        assert answer["code"] == code
        assert said in answer["said"]


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ({"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set, and me/tiny was not fetched before"),
        ({"HF_ENDPOINT": "http://127.0.0.1:9"}, "http://127.0.0.1:9 cannot be reached, and me/tiny was not"),
    ],
)
def test_a_hub_that_cannot_be_asked(environment: dict[str, str], said: str, tmp_path: Path) -> None:
    (answer,) = ask("hf:me/tiny", home=tmp_path, **environment)
    assert answer["code"] == 3
    assert said in answer["said"]


@pytest.mark.parametrize("spec", ["hf:tiny", "hf:", "hf:a/b@", "hf:a/b@v@w", "hf:a b/c"])
def test_other_forms_are_refused(spec: str) -> None:
    with pytest.raises(InputError, match="is not hf:OWNER/NAME"):
        weights_file(spec)


def test_a_file_is_a_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is missing"):
        weights_file(tmp_path / "w.pth")
    (tmp_path / "w.pth").write_bytes(b"")
    assert weights_file(tmp_path / "w.pth").origin == "w.pth"


def test_without_the_package_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(MissingError) as missing:
        weights_file("hf:me/tiny")
    assert missing.value.hint == "pip install 'edgekit[hub]'"
