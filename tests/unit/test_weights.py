from __future__ import annotations

import os
import re
from contextlib import suppress
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.model import Source
from edgekit.zoo import build
from edgekit.zoo.weights import WeightsInfo, load_weights
from edgekit.zoo.weights_file import read_weights

SMALL = Source(name="mobilenetv2", num_classes=10, width=0.1)

State = dict[str, Tensor]


def network(seed: int = 1, source: Source = SMALL) -> nn.Module:
    """A network whose every tensor is its own: norms and their statistics drawn at random too."""
    torch.manual_seed(seed)
    module = build(source)
    for value in module.state_dict().values():
        if value.is_floating_point() and value.dim() == 1:
            value.uniform_(0.5, 1.5)
    return module.eval()


@pytest.fixture(scope="module")
def state() -> State:
    return network().state_dict()


def loaded(content: object, folder: Path, source: Source = SMALL) -> tuple[WeightsInfo, State]:
    path = folder / "weights.pth"
    torch.save(content, path)
    module = network(2, source)
    return load_weights(module, path, source), module.state_dict()


def refusal(content: object, folder: Path, source: Source = SMALL) -> str:
    path = folder / "weights.pth"
    torch.save(content, path)
    module = network(2, source)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    with pytest.raises(InputError) as caught:
        load_weights(module, path, source)
    assert same(module.state_dict(), before), "a refused file must change nothing"
    assert str(path) in str(caught.value)
    return str(caught.value)


def same(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


def prefixed(state: State, prefix: str) -> State:
    return {prefix + key: value for key, value in state.items()}


def in_timm(state: State) -> State:
    """The same tensors under timm's names, in another order; written down by position, not by rule."""
    blocks = [
        f"blocks.{stage}.{index}"
        for stage, count in enumerate((1, 2, 3, 4, 3, 3, 1))
        for index in range(count)
    ]
    layers = ["conv_stem", "bn1"]
    for number, block in enumerate(blocks):
        pairs = ("conv_dw bn1 conv_pw bn2" if number == 0 else "conv_pw bn1 conv_dw bn2 conv_pwl bn3").split()
        layers += [f"{block}.{layer}" for layer in pairs]
    layers += ["conv_head", "bn2", "classifier"]
    old = list(dict.fromkeys(key.rpartition(".")[0] for key in state))
    names = dict(zip(old, layers, strict=True))
    renamed = {
        f"{names[key.rpartition('.')[0]]}.{key.rpartition('.')[2]}": value for key, value in state.items()
    }
    return dict(sorted(renamed.items()))


@pytest.mark.parametrize(
    ("wrap", "entry"),
    [
        (lambda state: state, ""),
        (lambda state: {"state_dict": state, "epoch": 3}, "state_dict"),
        (lambda state: {"model": prefixed(state, "module.")}, "model"),
        (lambda state: {"model_state_dict": prefixed(state, "_orig_mod.module.")}, "model_state_dict"),
        (lambda state: {"state_dict": {"model": prefixed(state, "backbone.")}}, "state_dict.model"),
        (in_timm, ""),
        (lambda state: {"state_dict": prefixed(in_timm(state), "module.")}, "state_dict"),
        (lambda state: {key: value for key, value in state.items() if "num_batches" not in key}, ""),
    ],
    ids=["bare", "wrapped", "parallel", "compiled", "twice", "timm", "timm-parallel", "old"],
)  # fmt: skip
def test_every_usual_form_loads(wrap: object, entry: str, state: State, tmp_path: Path) -> None:
    assert callable(wrap)
    info, found = loaded(wrap(state), tmp_path)
    assert info == WeightsInfo(entry=entry, head_classes=10, head_replaced=False)
    assert same(found, state)


def test_averaged_weights_come_before_the_last_ones(state: State, tmp_path: Path) -> None:
    average = {"n_averaged": torch.tensor(7), **prefixed(state, "module.")}
    info, found = loaded({"model": network(3).state_dict(), "model_ema": average}, tmp_path)
    assert info.entry == "model_ema"
    assert same(found, state)


@pytest.mark.parametrize(
    "ema", [{"decay": 0.99, "updates": 3}, {"decay": torch.tensor(0.99)}, {"module": {"decay": 0.99}}, {}]
)
def test_averaging_that_left_no_weights_is_passed_over(ema: State, state: State, tmp_path: Path) -> None:
    for content in ({"ema": ema, "state_dict": state}, {"model": {"ema": ema, "state_dict": state}}):
        info, found = loaded(content, tmp_path)
        assert info.entry.split(".")[-1] == "state_dict"
        assert same(found, state)


def test_safetensors_load_in_any_order(state: State, tmp_path: Path) -> None:
    path = tmp_path / "weights.safetensors"
    save_file(in_timm(state), path)
    module = network(2)
    assert not load_weights(module, path, SMALL).head_replaced
    assert same(module.state_dict(), state)


def test_half_precision_is_widened(state: State, tmp_path: Path) -> None:
    _, found = loaded(
        {key: value.half() if value.is_floating_point() else value for key, value in state.items()}, tmp_path
    )
    assert all(value.dtype in (torch.float32, torch.int64) for value in found.values())


def test_a_head_of_another_size_is_replaced_and_told(state: State, tmp_path: Path) -> None:
    seven = SMALL.model_copy(update={"num_classes": 7})
    info, found = loaded(state, tmp_path, seven)
    assert info == WeightsInfo(entry="", head_classes=10, head_replaced=True)
    own = network(2, seven).state_dict()
    for key, value in found.items():
        assert torch.equal(value, own[key] if key.startswith("classifier") else state[key])


def test_another_width_is_refused_with_shapes(state: State, tmp_path: Path) -> None:
    text = refusal(state, tmp_path, SMALL.model_copy(update={"width": 0.5}))
    assert "features.0.0.weight (8, 3, 3, 3), needs (16, 3, 3, 3)" in text
    assert re.search(r"and \d+ more", text)
    assert "missing" not in text


def test_other_channels_are_refused(state: State, tmp_path: Path) -> None:
    text = refusal(state, tmp_path, SMALL.model_copy(update={"in_channels": 1}))
    assert "features.0.0.weight (8, 3, 3, 3), needs (8, 1, 3, 3)" in text


def test_missing_and_unexpected_keys_are_named_with_near_ones(state: State, tmp_path: Path) -> None:
    misspelt = {key.replace("features.0.0", "features.0.zero"): value for key, value in state.items()}
    text = refusal(misspelt, tmp_path)
    assert "features.0.0.weight (8, 3, 3, 3), perhaps features.0.zero.weight in the file" in text
    assert "unexpected" in text


def test_a_backbone_without_a_head_is_refused(state: State, tmp_path: Path) -> None:
    headless = {key: value for key, value in state.items() if "classifier" not in key}
    assert "classifier.1.weight (10, 1280)" in refusal(headless, tmp_path)


def test_a_torn_head_is_refused(state: State, tmp_path: Path) -> None:
    torn = state | {"classifier.1.bias": torch.zeros(7)}
    assert "classifier.1.bias (7), needs (10)" in refusal(torn, tmp_path)


def test_weights_that_are_not_numbers_are_refused(state: State, tmp_path: Path) -> None:
    broken = state["features.0.0.weight"] * float("nan")
    assert "not finite: features.0.0.weight" in refusal(state | {"features.0.0.weight": broken}, tmp_path)
    sparse = state["features.0.0.weight"].to_sparse()
    assert "not a plain tensor" in refusal(state | {"features.0.0.weight": sparse}, tmp_path)


@pytest.mark.parametrize("content", [{}, {"epoch": 3}, {"model": {}}, [1, 2], "text"])
def test_files_without_weights_are_refused(content: object, tmp_path: Path) -> None:
    assert "no weights" in refusal(content, tmp_path)


class Attack:
    """Runs a command when it is unpickled."""

    def __init__(self, victim: Path) -> None:
        self.victim = victim

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.victim),)


def test_code_in_a_pickle_is_refused_and_never_run(state: State, tmp_path: Path) -> None:
    text = refusal({"model": state, "extra": Attack(tmp_path / "pwned")}, tmp_path)
    assert "not unpickled" in text
    assert not (tmp_path / "pwned").exists()


def test_a_whole_pickled_network_is_refused_with_the_way_out(tmp_path: Path) -> None:
    assert "model.state_dict()" in refusal(network(), tmp_path)


def test_a_wrapper_that_holds_itself_ends(tmp_path: Path) -> None:
    loop: dict[str, object] = {}
    loop["model"] = loop
    assert "no weights" in refusal(loop, tmp_path)


@pytest.mark.parametrize("name", ["weights.pth", "weights.safetensors"])
def test_missing_truncated_and_foreign_files_are_refused(name: str, state: State, tmp_path: Path) -> None:
    path = tmp_path / name
    with pytest.raises(InputError, match="missing"):
        load_weights(network(), path, SMALL)
    if path.suffix == ".safetensors":
        save_file(state, path)
    else:
        torch.save(state, path)
    whole = path.read_bytes()
    for content in (whole[: len(whole) // 2], whole[:10], b"", b"<!DOCTYPE html>", b"\x89PNG\r\n"):
        path.write_bytes(content)
        with pytest.raises(InputError, match=r"not a whole|not unpickled") as caught:
            load_weights(network(), path, SMALL)
        assert "weights_only" not in str(caught.value), "no advice to load it unsafely"
    path.unlink()
    path.mkdir()
    with pytest.raises(InputError, match="no file"):
        load_weights(network(), path, SMALL)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 10**6), st.integers(0, 255)), max_size=6),
    st.floats(0.2, 1),
)
def test_damaged_files_are_read_or_refused(
    tmp_path: Path, modern: bool, damage: list[tuple[int, int]], kept: float
) -> None:
    path = tmp_path / "damaged.pth"
    content = {"state_dict": {"a.weight": torch.ones(4, 3), "b": torch.zeros(2)}, "epoch": 1}
    torch.save(content, path, _use_new_zipfile_serialization=modern)
    data = bytearray(path.read_bytes())
    for place, value in damage:
        data[place % len(data)] = value
    path.write_bytes(data[: round(kept * len(data))])
    with suppress(InputError):
        assert read_weights(path)[1]
