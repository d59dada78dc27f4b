"""A Keras network in PyTorch's layers: built, kept and loaded without Keras, and padded as TensorFlow pads."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from edgekit.checkpoint import load_model, save_model
from edgekit.graph.cost import cost
from edgekit.model import Model, Preprocessing, Source
from edgekit.zoo import build
from edgekit.zoo.keras_network import KerasNetwork, layer_name


def operator(
    name: str, op: str, *inputs: str, weights: tuple[str, ...] = (), **options: Any
) -> dict[str, Any]:
    held = {role: f"{name}.{role}" for role in weights}
    return {"name": name, "op": op, "inputs": list(inputs), "options": options, "weights": held}


def convolution(name: str, source: str, inputs: int, outputs: int, kernel: int) -> dict[str, Any]:
    sizes = {"inputs": inputs, "outputs": outputs, "kernel": [kernel, kernel], "groups": 1, "bias": True}
    how = {"stride": [2, 2], "dilation": [1, 1], "padding": [0, 0]}
    return operator(name, "conv2d", source, weights=("weight", "bias"), **sizes, **how)


NETWORK = (
    operator("input", "input"),
    operator("stem_pad", "pad_same", "input", kernel=[3, 3], stride=[2, 2], dilation=[1, 1]),
    convolution("stem", "stem_pad", 3, 8, 3),
    operator("norm", "batch_norm", "stem", weights=("weight", "bias"), channels=8, eps=1e-3),
    operator("act", "relu", "norm"),
    operator("pool", "max_pool2d_same", "act", kernel_size=[3, 3], stride=[2, 2]),
    operator("flat", "flatten", "pool"),
    operator("forward", "linear", "flat", weights=("weight", "bias"), inputs=128, outputs=5, bias=True),
)


def model() -> Model:
    source = Source(name="net.keras", num_classes=5, network=NETWORK)
    torch.manual_seed(0)
    plain = Preprocessing(height=16, width=16, mean=(0.0,) * 3, std=(1.0,) * 3)
    return Model("net", build(source).eval(), (1, 3, 16, 16), "classification", plain, (), source)


def test_it_is_kept_and_loaded_without_keras(tmp_path: Path) -> None:
    made, images = model(), torch.randn(2, 3, 16, 16)
    save_model(made, tmp_path)
    again = load_model(tmp_path)
    assert isinstance(again.module, KerasNetwork)
    with torch.no_grad():
        assert torch.equal(again.module(images), made.module(images))
    layers = cost(again.module, (1, 3, 16, 16)).layers
    assert [layer.name for layer in layers if layer.weights] == ["stem", "forward_"]


def test_names_that_pytorch_has_taken() -> None:
    assert (layer_name("forward"), layer_name("stem-bn"), layer_name("training")) == (
        "forward_",
        "stem_bn",
        "training_",
    )


@pytest.mark.parametrize(
    ("size", "kernel", "stride"), [(16, 3, 2), (17, 3, 2), (16, 2, 2), (15, 5, 1), (9, 4, 3)]
)
def test_same_padding_gives_the_ceiling_and_puts_the_odd_one_behind(
    size: int, kernel: int, stride: int
) -> None:
    pad = operator("p", "pad_same", "i", kernel=[kernel] * 2, stride=[stride] * 2, dilation=[1, 1])
    padded = KerasNetwork([operator("i", "input"), pad])(torch.ones(1, 1, size, size))
    assert F.max_pool2d(padded, kernel, stride).shape[-1] == -(-size // stride)
    before, behind = (
        int((padded[0, 0, :, size // 2].flip(0) if flip else padded[0, 0, :, size // 2]).argmax())
        for flip in (False, True)
    )
    assert behind - before in (0, 1)


def test_max_pooling_that_would_pad_on_one_side_more() -> None:
    pool = operator("p", "max_pool2d_same", "i", kernel_size=[5, 5], stride=[2, 2])
    with pytest.raises(ValueError, match="on one side more"):
        KerasNetwork([operator("i", "input"), pool])(torch.ones(1, 1, 16, 16))


def test_layers_are_pytorchs_own() -> None:
    kinds = {name: type(layer) for name, layer in model().module.named_children()}
    assert kinds == {"stem": nn.Conv2d, "norm": nn.BatchNorm2d, "forward_": nn.Linear}
