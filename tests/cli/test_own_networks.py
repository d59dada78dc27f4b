"""A network of the user's own on the command line: profiled, exported, and refused with exit code 2."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from own_networks import own_module, save_program
from safetensors.torch import save_file
from typer.testing import CliRunner, Result

from edgekit.cli.app import app
from edgekit.model import Source
from edgekit.zoo import build


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def nets(tmp_path: Path) -> Iterator[str]:
    with own_module(tmp_path) as name:
        yield name


def run(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def document(*arguments: str) -> dict[str, object]:
    result = run(*arguments, "--json")
    assert result.exit_code == 0, result.output
    found: dict[str, object] = json.loads(result.stdout)
    return found


def test_a_factory_is_profiled(nets: str) -> None:
    small = document("profile", f"{nets}:tiny", "--input-size", "32")
    large = document("profile", f"{nets}:tiny", "--input-size", "32", "--factory-arg", "depth=2")
    assert small["name"] == large["name"] == "tiny"
    # 3 and 8 channels to twice as many, 3×3, at 16×16 and 8×8, and a thousand classes
    assert small["macs"] == 9 * (3 * 8 * 16 * 16 + 8 * 16 * 8 * 8) + 16 * 1000
    assert large["macs"] == 9 * (3 * 16 * 16 * 16 + 16 * 32 * 8 * 8) + 32 * 1000


def test_a_program_is_profiled_and_exported_at_its_own_size(tmp_path: Path) -> None:
    path = str(save_program(tmp_path / "net.pt2", batch=False))
    assert document("profile", path)["input_shape"] == [1, 3, 32, 32]
    manifest = document("export", path, "--target", "host", "--out", str(tmp_path / "shipped"))
    assert manifest["model"] == "net"
    assert manifest["format"] == "onnx"


def test_a_factory_is_exported_with_its_weights(nets: str, tmp_path: Path) -> None:
    document("profile", f"{nets}:tiny", "--input-size", "32")  # names the code in this process
    weights = tmp_path / "four.safetensors"
    save_file(build(Source(name=f"{nets}:tiny", num_classes=4)).state_dict(), weights)
    arguments = ("--target", "host", "--input-size", "32", "--weights", str(weights))
    shipped = document("export", f"{nets}:tiny", *arguments, "--out", str(tmp_path / "shipped"))
    assert shipped["outputs" if "outputs" in shipped else "output"]
    refused = run("export", f"{nets}:seven", *arguments, "--out", str(tmp_path / "other"))
    assert refused.exit_code == 2
    assert "do not fit" in refused.stderr
    assert not (tmp_path / "other").exists()


@pytest.mark.parametrize(
    ("model", "options", "said"),
    [
        ("{nets}:tinny", (), "did you mean {nets}:tiny"),
        ("nowhere_at_all:net", (), "unknown module 'nowhere_at_all'"),
        ("{nets}:broken", (), "in broken: raise ValueError"),
        ("{nets}:no_network", (), "no torch.nn.Module"),
        ("{nets}:tiny", ("--factory-arg", "depth"), "is not KEY=VALUE"),
        ("{nets}:tiny", ("--width", "0.5"), "no width multiplier"),
        ("mobilenetv2", ("--factory-arg", "a=1"), "takes no --factory-arg"),
        ("mobilenetv2", ("--factory-arg", "in_channels=2"), "1 channel or 3, not 2"),
        ("mobilenetv2", ("--task", "segmentation"), "is for classification"),
        ("mobilenetv2", ("--task", "detection"), "--task"),
        ("net.pt2", (), "net.pt2 is missing"),
        ("net.pth", (), "give --weights net.pth"),
    ],
)
@pytest.mark.parametrize("command", [("profile",), ("export", "--target", "host", "--out", "new"),
                                     ("compress", "--target", "host", "--out", "new")])  # fmt: skip
def test_what_is_refused(
    command: tuple[str, ...], model: str, options: tuple[str, ...], said: str, nets: str
) -> None:
    name, *rest = command
    result = run(name, model.format(nets=nets), *rest, *options)
    assert (result.exit_code, result.stdout) == (2, ""), result.output
    assert said.format(nets=nets) in result.stderr
    assert not (Path("new") / "checkpoints").exists()


def test_a_trained_program_is_not_judged_on_digits(tmp_path: Path) -> None:
    path = str(save_program(tmp_path / "net.pt2"))
    result = run("compress", path, "--target", "host", "--out", str(tmp_path / "new"))
    assert result.exit_code == 2
    assert "which is trained, without --data" in result.stderr


def test_a_network_that_cannot_be_exported_is_refused_before_it_is_trained(nets: str, tmp_path: Path) -> None:
    out = str(tmp_path / "new")
    result = run("compress", f"{nets}:Branching", "--target", "host", "--out", out, "--input-size", "32")
    assert result.exit_code == 2
    assert f"{nets}.py:" in result.stderr
    assert "if y.sum() > 0" in result.stderr
    assert "epoch" not in result.stderr


@pytest.mark.parametrize("command", ["compress", "profile", "export"])
def test_help_says_what_a_model_may_be(command: str) -> None:
    text = " ".join(
        CliRunner().invoke(app, [command, "--help"], env={"COLUMNS": "160"}).stdout.replace("│", " ").split()
    )
    for word in ("package.module:factory", "current folder", "timm:NAME", ".pt2", "--factory-arg", "--task"):
        assert word in text
    assert ("hf:OWNER/NAME" in text) == (command != "profile")
