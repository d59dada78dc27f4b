"""Every form that channel pruning is held to, by name."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from forms_convolutional import (
    Attentive,
    DenseNet,
    EfficientNet,
    FishNet,
    Inception,
    InceptionResidual,
    Vgg,
    regnet,
    resnet,
    resnext,
)
from forms_dense import Decoder, Fcn, HighResolution, Pyramid, SuperResolution, Unfolded
from forms_shuffled import (
    AuthorsShuffle,
    CrossStage,
    GhostNet,
    Reordered,
    ShuffleNetV1,
    ShuffleNetV2,
    SplitStage,
    UNeXt,
)
from forms_tokens import Gated, HardCoded, Mixer, Swin, VisionTransformer, swin_mlp
from torch import nn

SHAPE = (1, 3, 16, 16)
FORMS: Mapping[str, Callable[[], nn.Module]] = {
    "resnet": resnet,
    "resnext": resnext,
    "regnet": regnet,
    "vgg": Vgg,
    "inception": Inception,
    "inception-resnet": InceptionResidual,
    "densenet": DenseNet,
    "efficientnet": EfficientNet,
    "fishnet": FishNet,
    "cbam": Attentive,
    "fcn-8s": Fcn,
    "hrnet": HighResolution,
    "fpn": Pyramid,
    "decoder": Decoder,
    "pixel-shuffle": SuperResolution,
    "unfold": Unfolded,
    "shufflenetv1": ShuffleNetV1,
    "shufflenetv2": ShuffleNetV2,
    "shufflenetv2-authors": AuthorsShuffle,
    "ghostnet": GhostNet,
    "unext": UNeXt,
    "reordered": Reordered,
    "yolov4": CrossStage,
    "yolov8": SplitStage,
    "vit": VisionTransformer,
    "hard-coded": HardCoded,
    "swin": Swin,
    "swin-mlp": swin_mlp,
    "mixer": Mixer,
    "gated": Gated,
}
INPUTS = {"unfold": (SHAPE, SHAPE)}
HARD_CODED = frozenset(("hard-coded", "fishnet", "gated"))
"""Forms whose own forward holds widths as numbers."""


def form(name: str, seed: int = 0) -> nn.Module:
    """The network of that name, in eval mode, with norms that have seen something."""
    torch.manual_seed(seed)
    return seasoned(FORMS[name]())


def seasoned(module: nn.Module) -> nn.Module:
    """Norms as a trained network has them: with zeros and ones a missed parameter would go unseen."""
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm2d | nn.LayerNorm | nn.GroupNorm):
            nn.init.uniform_(layer.weight, 0.5, 1.5)
            nn.init.normal_(layer.bias, 0, 0.3)
        if isinstance(layer, nn.BatchNorm2d):
            assert layer.running_mean is not None
            assert layer.running_var is not None
            nn.init.normal_(layer.running_mean, 0, 0.1)
            nn.init.uniform_(layer.running_var, 0.05, 0.2)
    return module.eval()
