"""Networks of timm and torchvision beside ours: their weights, saved and loaded by `--weights`, give their outputs.

Nothing can be downloaded for a test, so every tensor is drawn at random, norms and their statistics too: what counts
is that each lands where it belongs, with the source's own epsilons, paddings and activations.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgekit.model import Source
from edgekit.zoo import build
from edgekit.zoo.weights import load_weights

pytestmark = pytest.mark.libraries
TIMM = {
    "mobilenetv1": "mobilenetv1_100",
    "mobilenetv2": "mobilenetv2_100",
    "mobilenetv3-large": "mobilenetv3_large_100",
    "mobilenetv3-small": "mobilenetv3_small_100",
    "ghostnet": "ghostnet_100",
    "ghostnetv2": "ghostnetv2_100",
}
TORCHVISION = {
    "mobilenetv2": "mobilenet_v2",
    "mobilenetv3-large": "mobilenet_v3_large",
    "mobilenetv3-small": "mobilenet_v3_small",
    "shufflenetv2-x0.5": "shufflenet_v2_x0_5",
    "shufflenetv2-x1.0": "shufflenet_v2_x1_0",
    "shufflenetv2-x1.5": "shufflenet_v2_x1_5",
    "shufflenetv2-x2.0": "shufflenet_v2_x2_0",
    "squeezenet1.0": "squeezenet1_0",
    "squeezenet1.1": "squeezenet1_1",
}
RELATIVE = 1e-5
"""Of the largest output: the same sums in another order."""


def pairs() -> Iterator[tuple[str, str, str]]:
    for library, names in (("timm", TIMM), ("torchvision", TORCHVISION)):
        for ours, theirs in names.items():
            yield library, ours, theirs


def theirs_of(library: str, name: str) -> nn.Module:
    """A network of theirs whose every tensor is its own."""
    torch.manual_seed(0)
    if library == "timm":
        import timm

        network: nn.Module = timm.create_model(name, pretrained=False)
    else:
        import torchvision

        network = torchvision.models.get_model(name, weights=None)
    for value in network.state_dict().values():
        if value.is_floating_point() and value.dim() == 1:
            value.uniform_(0.5, 1.5)
    return network.eval()


@pytest.mark.parametrize("form", ["pth", "safetensors"])
@pytest.mark.parametrize(("library", "ours", "theirs"), list(pairs()))
def test_outputs_are_those_of_the_source(
    library: str, ours: str, theirs: str, form: str, tmp_path: Path
) -> None:
    source = theirs_of(library, theirs)
    path = tmp_path / f"weights.{form}"
    state = {key: value.clone() for key, value in source.state_dict().items()}
    if form == "pth":
        torch.save({"state_dict": {f"module.{key}": value for key, value in state.items()}}, path)
    else:
        save_file(state, path)
    torch.manual_seed(1)
    network = build(Source(name=ours, num_classes=1000)).eval()
    assert not load_weights(network, path, Source(name=ours, num_classes=1000)).head_replaced
    images = torch.randn(2, 3, 224, 224)
    with torch.no_grad():
        expected, found = source(images), network(images)
    assert expected.std() > 0
    assert (found - expected).abs().max() <= RELATIVE * expected.abs().max()
