"""`.keras` files: looked into before Keras reads them, and refused where that could run somebody's code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from keras_files import archive, layer, network

from edgekit import files
from edgekit.errors import InputError
from edgekit.tfmot.keras_file import vet
from edgekit.zoo import architecture

CONV = layer("Conv2D", kernel_initializer={"module": "keras.initializers", "class_name": "GlorotUniform"})


def test_a_plain_file_is_taken(tmp_path: Path) -> None:
    inside = network(CONV, layer("BatchNormalization"), kind="Sequential")
    path = archive(tmp_path / "net.keras", network(layer("InputLayer"), CONV, inside), version="2.15.0")
    found = vet(path)
    assert (found.version, found.sha256) == (2, files.sha256(path))


@pytest.mark.parametrize(
    ("part", "said"),
    [
        (layer("Lambda", name="twice"), ("Lambda (twice)", "code that would run")),
        (
            layer("Conv2D", activation={"module": "builtins", "class_name": "function", "config": "f"}),
            ("code",),
        ),
        (layer("Gate", module="mine.layers"), ("Gate", "mine.layers", "keras:package.module:function")),
        (layer("Conv2D", module="kerasevil.layers"), ("Conv2D", "kerasevil.layers")),
        (layer("Conv2D", bias_initializer={"module": "keras.evil.initializers", "class_name": "F"}), ("F",)),
        (layer("LSTM"), ("LSTM", "it reads Activation")),
        (network(layer("Lambda", name="deep")), ("Lambda (deep)",)),
    ],
)
def test_what_is_not_of_keras_is_refused_by_name(part: Any, said: tuple[str, ...], tmp_path: Path) -> None:
    path = archive(tmp_path / "net.keras", network(CONV, part))
    with pytest.raises(InputError) as refused:
        vet(path)
    assert all(text in str(refused.value) for text in ("net.keras", *said)), refused.value


def test_files_that_are_none(tmp_path: Path) -> None:
    (tmp_path / "text.keras").write_text("no zip")
    archive(tmp_path / "more.keras", network(CONV), extra=("../climbs.py",))
    archive(tmp_path / "list.keras", [CONV])
    archive(tmp_path / "own.keras", network(CONV, kind="MyModel"))
    archive(tmp_path / "old.keras", network(CONV), version="1.2")
    for name, said in {
        "missing": "is missing",
        "text": "is no .keras file",
        "more": "../climbs.py",
        "list": "holds no object",
        "own": "the class MyModel",
        "old": "'1.2'",
    }.items():
        with pytest.raises(InputError, match=said):
            vet(tmp_path / f"{name}.keras")


def test_refused_before_any_interpreter_is_looked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EDGEKIT_TFMOT_PYTHON", str(tmp_path / "none"))
    path = archive(tmp_path / "net.keras", network(layer("Lambda", name="twice")))
    with pytest.raises(InputError, match="code that would run when it is read"):
        architecture(str(path))


def test_options_that_a_file_has_no_place_for(tmp_path: Path) -> None:
    path = archive(tmp_path / "net.keras", network(CONV))
    with pytest.raises(InputError, match="takes no --factory-arg depth"):
        architecture(str(path), ["depth=3"])
    with pytest.raises(InputError, match="leave --task out"):
        architecture(str(path), task="segmentation")
