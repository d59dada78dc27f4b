"""Targets: all of them are told of, figures have their sources, and a user's own file is as good."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from edgekit.devices.local import Local
from edgekit.errors import InputError
from edgekit.pipeline import place
from edgekit.target import Target, list_targets, load_target
from edgekit.tomlfile import folder_of

FIGURES = re.compile(r"^(\w+_(?:gb|gb_s|mb|tops|tflops)) = ", re.MULTILINE)
IDS = [target.id for target in list_targets()]


def test_the_readme_lists_every_target_and_its_other_names() -> None:
    text = Path(__file__).parents[2].joinpath("README.md").read_text(encoding="utf-8")
    rows = [line for line in text.partition("## Targets")[2].splitlines() if line.startswith("| `")]
    listed = set(re.findall(r"`([\w-]+)`", " ".join(row.split("|")[1] for row in rows)))
    assert listed == {name for target in list_targets() for name in (target.id, *target.aliases)} - {
        "openvino",
        "ios",
    }


@pytest.mark.parametrize("target", IDS)
def test_every_figure_stands_under_a_comment_that_names_its_source(target: str) -> None:
    text = (folder_of("target") / f"{target}.toml").read_text(encoding="utf-8")
    for block in text.split("\n\n"):
        figures = FIGURES.search(block)
        if figures:
            before = block[: figures.start()].splitlines()
            assert before[-1].startswith("#"), f"{target}: {figures[1]} has no source"
            assert "“" in block or '"' in block or "Raspberry Pi's" in block


def test_rates_are_operations_a_second_and_dense() -> None:
    orin = load_target("jetson-agx-orin")
    assert orin.operations_per_second("int8") == 85e12
    assert orin.operations_per_second("fp32") == 5.3e12
    assert orin.operations_per_second("fp16") is None
    for target in list_targets():
        if target.int8_sparse_tops is not None and target.int8_dense_tops is not None:
            assert target.int8_sparse_tops == 2 * target.int8_dense_tops


@pytest.mark.parametrize("target", IDS)
def test_what_it_promises_fits(target: str) -> None:
    found = load_target(target)
    assert found.format == {"litert": "tflite", "openvino": "openvino"}.get(found.runtime, "onnx")
    assert (folder_of("recipe") / f"{found.recipe}.toml").is_file()
    assert found.next_steps


@pytest.mark.parametrize("target", IDS)
def test_a_device_s_figures_are_the_target_s_where_edgekit_drives_its_unit(
    target: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OpenVINO runs on an NPU's neighbour, LiteRT on the CPU beside an Edge TPU: that is no measurement of either."""
    monkeypatch.setattr(place, "open_device", lambda _: Local())
    goal = load_target(target)
    found = place.place_of(goal, "ssh://device")
    assert goal.driven == (target not in {"intel-npu", "coral", "iphone", "microcontroller"})
    assert found.source == ("measured" if goal.driven else "proxy")
    assert found.runtime == (goal.runtime if goal.driven else goal.proxy_runtime)


def own(folder: Path, **changes: str) -> Path:
    """A user's file: the Raspberry Pi's under another name, with some values of its own."""
    text = (folder_of("target") / "raspberry-pi-5.toml").read_text(encoding="utf-8")
    values = {"id": '"mine"', "aliases": "[]", **changes}
    for key, value in values.items():
        text, count = re.subn(rf"^{key} = .*$", f"{key} = {value}", text, flags=re.MULTILINE)
        assert count == 1
    path = folder / "mine.toml"
    path.write_text(text, encoding="utf-8")
    return path


def test_a_users_own_file_is_taken_by_its_path(tmp_path: Path) -> None:
    found = load_target(str(own(tmp_path, bandwidth_gb_s="20.5")))
    assert isinstance(found, Target)
    assert (found.id, found.bandwidth_gb_s) == ("mine", 20.5)


@pytest.mark.parametrize("value", ["0", "-3.0", "nan", '"fast"'])
def test_a_figure_that_is_none_is_refused(tmp_path: Path, value: str) -> None:
    path = own(tmp_path, bandwidth_gb_s=value)
    with pytest.raises(InputError, match="bandwidth_gb_s"):
        load_target(str(path))


@pytest.mark.parametrize("value", ["0", "-8"])
def test_widths_are_multiples_of_at_least_one(tmp_path: Path, value: str) -> None:
    with pytest.raises(InputError, match="channel_multiple"):
        load_target(str(own(tmp_path, channel_multiple=value)))
