"""The command that a report gives to repeat a run asks for the same run."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from edgekit import pipeline
from edgekit.cli.app import app
from edgekit.errors import InputError
from edgekit.pipeline.command import command_line
from edgekit.request import Request

REQUESTS = [
    Request(model="mobilenetv2", target="jetson"),
    Request(model="squeezenet1.1", target="host", input_size=(240, 320)),
    Request(
        model="mobilenetv2",
        target="my devices/pi.toml",
        recipe="prune-int8",
        data=Path("my pictures"),
        weights="hf:owner/name@v1",
        factory_arg=("depth=3", "name=a b"),
        task="segmentation",
        input_size=96,
        width=0.5,
        seed=3,
        threads=1,
        skip_bad=True,
        max_accuracy_drop=0.0,
        max_latency_ms=2.5,
        max_macs=0.25,
    ),
]


@pytest.mark.parametrize("request_", REQUESTS)
def test_the_command_line_is_read_back_as_the_same_request(
    request_: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Request] = []

    def resolve(request: Request, progress: object) -> None:
        seen.append(request)
        raise InputError("that is all")

    monkeypatch.setattr(pipeline, "resolve", resolve)
    program, *arguments = command_line(request_)
    assert program == "edgekit"
    assert CliRunner().invoke(app, arguments).exit_code == 2
    assert seen == [request_]


def test_defaults_are_left_out() -> None:
    assert command_line(REQUESTS[0]) == ("edgekit", "compress", "mobilenetv2", "--target", "jetson")
