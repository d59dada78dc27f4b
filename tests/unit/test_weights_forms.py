"""Weights in the forms in which other projects publish them load, and compute what they did there."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import foreign_forms as forms
import pytest
import torch
from foreign_forms import Form
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.model import Source
from edgekit.zoo import build
from edgekit.zoo.weights import load_weights

if TYPE_CHECKING:
    from collections.abc import Callable

RENAMED: dict[str, Callable[[], Form]] = {
    "mobilenetv3-large": partial(forms.timm_mobilenet, forms.V3_LARGE, 16, 1280),
    "mobilenetv3-small": partial(forms.timm_mobilenet, forms.V3_SMALL, 16, 1024),
    "mobilenetv1-relu": forms.sequential_mobilenetv1,
    "ghostnet": partial(forms.ghostnet, attention=False),
    "ghostnetv2": partial(forms.ghostnet, attention=True),
}
OWN: dict[str, Callable[[], Form]] = {
    "mobilenetv1": partial(forms.timm_mobilenet, forms.V1, 32, 0),
    "squeezenet1.0": partial(
        forms.squeezenet, "3:16/64 4:16/64 5:32/128 7:32/128 8:48/192 9:48/192 10:64/256 12:64/256", (96, 7)
    ),
    "squeezenet1.1": partial(
        forms.squeezenet, "3:16/64 4:16/64 6:32/128 7:32/128 9:48/192 10:48/192 11:64/256 12:64/256", (64, 3)
    ),
    "shufflenetv2-x0.5": partial(forms.torchvision_shufflenetv2, (48, 96, 192), 1024),
    "shufflenetv2-x2.0": partial(forms.torchvision_shufflenetv2, (244, 488, 976), 2048),
    "shufflenetv2-authors-x1.0": partial(forms.authors_shufflenetv2, (116, 232, 464), 1024),
    "shufflenetv2-authors-x2.0": partial(forms.authors_shufflenetv2, (244, 488, 976), 2048),
    "shufflenetv1-g3": partial(forms.authors_shufflenetv1, 3, 24, 240),
    "shufflenetv1-g8": partial(forms.authors_shufflenetv1, 8, 24, 384),
}


def random_state(form: Form) -> dict[str, Tensor]:
    """Weights that keep activations in range, every tensor its own."""
    generator = torch.Generator().manual_seed(0)
    state: dict[str, Tensor] = {}
    for key, shape in form.items():
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(7)
        elif len(shape) > 1:
            fan_in = torch.Size(shape[1:]).numel()
            state[key] = torch.randn(shape, generator=generator) * (2 / fan_in) ** 0.5
        else:
            state[key] = torch.rand(shape, generator=generator) + 0.5
    return state


EPS = {"mobilenetv3-large": 1e-5, "mobilenetv3-small": 1e-5}
"""Of the batch norms in that form, where it is not ours."""


def placed(module: nn.Module, state: dict[str, Tensor]) -> nn.Module:
    """The same tensors put into the network one after another, without a look at their names."""
    own = module.state_dict()
    pairs = zip(own.items(), state.values(), strict=True)
    module.load_state_dict({key: tensor.reshape(mine.shape) for (key, mine), tensor in pairs})
    return module.eval()


@pytest.mark.parametrize("wrapper", ["", "state_dict", "state_dict_ema"])
@pytest.mark.parametrize("name", RENAMED)
def test_a_foreign_form_computes_what_its_tensors_do_by_position(
    name: str, wrapper: str, tmp_path: Path
) -> None:
    source = Source(name=name, num_classes=forms.CLASSES)
    state = random_state(RENAMED[name]())
    prefixed = {f"module.{key}": value for key, value in state.items()}
    torch.save({wrapper: prefixed} if wrapper else state, tmp_path / "weights.pth")
    module = build(source)
    assert not load_weights(module, tmp_path / "weights.pth", source).head_replaced
    images = torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        theirs = placed(build(source), state)
        for layer in theirs.modules():
            if isinstance(layer, nn.BatchNorm2d):
                layer.eps = EPS.get(name, layer.eps)
        expected, found = theirs(images), module.eval()(images)
    assert expected.std() > 1e-3, "the outputs must say something"
    assert torch.allclose(found, expected, rtol=1e-5, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("name", OWN)
def test_keys_and_shapes_are_those_of_the_public_form(name: str) -> None:
    own = build(Source(name=name, num_classes=forms.CLASSES)).state_dict()
    assert {key: tuple(value.shape) for key, value in own.items()} == OWN[name]()


def test_torchvisions_mobilenetv3_keys() -> None:
    keys = build(Source(name="mobilenetv3-large", num_classes=2)).state_dict().keys()
    assert {
        "features.0.0.weight",
        "features.1.block.0.0.weight",
        "features.1.block.1.1.running_var",
        "features.4.block.2.fc1.weight",
        "features.4.block.2.fc2.bias",
        "features.4.block.3.0.weight",
        "features.16.1.weight",
        "classifier.0.weight",
        "classifier.3.bias",
    } <= keys
    assert len(keys) == 312
    assert len(build(Source(name="mobilenetv3-small", num_classes=2)).state_dict()) == 244


def test_a_head_of_another_size_is_replaced_across_ranks(tmp_path: Path) -> None:
    state = random_state(RENAMED["mobilenetv3-small"]())
    torch.save(state, tmp_path / "weights.pth")
    source = Source(name="mobilenetv3-small", num_classes=10)
    info = load_weights(build(source), tmp_path / "weights.pth", source)
    assert (info.head_classes, info.head_replaced) == (1000, True)


@pytest.mark.parametrize(
    ("name", "other"),
    [
        ("mobilenetv1", "mobilenetv1-relu"),  # another activation: its weights would be misread in silence
        ("shufflenetv2-x2.0", "shufflenetv2-authors-x2.0"),
        ("ghostnet", "ghostnetv2"),
        ("squeezenet1.0", "squeezenet1.1"),
    ],
)
def test_weights_of_a_sister_are_refused(name: str, other: str, tmp_path: Path) -> None:
    state = random_state((RENAMED | OWN)[other]())
    torch.save(state, tmp_path / "weights.pth")
    source = Source(name=name, num_classes=forms.CLASSES)
    with pytest.raises(InputError, match="do not fit"):
        load_weights(build(source), tmp_path / "weights.pth", source)
