"""TF-MOT's stages on a small network: patterns hold in what comes back, and what cannot be is said."""

from __future__ import annotations

import pytest
import torch
from contexts import context
from small_networks import Residual, Shuffled, layer, model_of

from edgekit.data.split import Data
from edgekit.model import Model
from edgekit.patterns import density, pattern_of
from edgekit.recipe import QuantizeOptions, TfmotClusterOptions, TfmotPruneOptions
from edgekit.stages import RejectedError, stage
from edgekit.stages.tfmot import train_rounded
from edgekit.target import load_target

pytestmark = pytest.mark.tfmot
QAT = QuantizeOptions(kind="quantize", method="tfmot-qat", qat_epochs=1, calibration_samples=64)


@pytest.fixture(scope="module")
def pruned(digits: Data) -> Model:
    """Half of each four weights zero from the first step on, but in a block that is protected."""
    options = TfmotPruneOptions(
        kind="tfmot-prune", pattern="2:4", schedule="constant", epochs=2, protect=("features.1",)
    )
    original = model_of(Residual)
    return stage(options).apply(original, context(original, digits))


def test_the_pattern_is_in_the_layers_that_carry_it(pruned: Model) -> None:
    assert pruned.sparsity
    assert pruned.encoding == "sparse"
    for name in pruned.sparsity:
        weight = pruned.module.get_parameter(f"{name}.weight")
        assert pattern_of("2:4").holds(weight.detach().numpy()), name
        assert density(weight.detach().numpy()) == pytest.approx(0.5, abs=0.01)
    without = pruned.lineage[-1].details["without"]
    assert isinstance(without, dict)
    assert without["features.0.0"] == "3 input channels are no multiple of 4"
    assert without["features.2.conv.1.0"] == "depthwise"
    assert without["features.1.conv.0.0"] == "protected"
    assert density(pruned.module.get_parameter("features.1.conv.0.0.weight").detach().numpy()) == 1


def test_all_weights_were_trained(pruned: Model) -> None:
    before = model_of(Residual).module.state_dict()
    for name, value in pruned.module.state_dict().items():
        if value.is_floating_point():
            assert torch.isfinite(value).all(), name
            assert not torch.equal(value, before[name]), name


class Squeezing(torch.nn.Module):
    """What TF-MOT does not round: a product, a batch norm behind groups, hard swish before a convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = layer(3, 16, 3, stride=2, act=torch.nn.Hardswish)
        self.groups = layer(16, 32, groups=2)
        self.gate = torch.nn.Conv2d(32, 32, 1)
        self.classifier = torch.nn.Linear(32, 10)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.groups(self.stem(x))
        x = x * torch.sigmoid(self.gate(x.mean((2, 3), keepdim=True)))
        logits: torch.Tensor = self.classifier(x.mean((2, 3)))
        return logits


@pytest.mark.parametrize("network", [Residual, Shuffled, Squeezing])
def test_weights_that_learnt_to_be_rounded(network: type[torch.nn.Module], digits: Data) -> None:
    original = model_of(network)
    module, told = train_rounded(original, context(original, digits), QAT)
    assert 0 < float(str(told["loss"])) < 10
    assert "tensorflow-model-optimization" in dict(told["toolkit"])  # type: ignore[arg-type]
    before = original.module.state_dict()
    for name, value in module.state_dict().items():
        if value.is_floating_point():
            assert torch.isfinite(value).all(), name
            assert not torch.equal(value, before[name]), name
            if name.endswith("weight"):  # a few steps at a small rate: near to where it began
                assert (value - before[name]).norm() < 0.5 * before[name].norm(), name


def test_rounding_keeps_the_zeros_of_a_network_with_operators_that_keras_lacks(digits: Data) -> None:
    options = TfmotPruneOptions(kind="tfmot-prune", pattern="2:4", schedule="constant", epochs=1)
    original = model_of(Squeezing)
    pruned = stage(options).apply(original, context(original, digits))
    module, _ = train_rounded(pruned, context(pruned, digits), QAT)
    assert pruned.sparsity
    for name in pruned.sparsity:
        assert pattern_of("2:4").holds(module.get_parameter(f"{name}.weight").detach().numpy()), name


def test_rounding_keeps_the_zeros(pruned: Model, digits: Data) -> None:
    module, _ = train_rounded(pruned, context(pruned, digits), QAT)
    for name in pruned.sparsity:
        weight = module.get_parameter(f"{name}.weight").detach()
        assert pattern_of("2:4").holds(weight.numpy()), name
        assert not torch.equal(weight, pruned.module.get_parameter(f"{name}.weight")), name


def test_the_better_of_calibration_and_training_is_taken(digits: Data) -> None:
    original = model_of(Residual)
    reached = {"ptq": 0.5, "tfmot-qat": 0.6}

    def accuracy(model: Model) -> float:
        assert model.quantization is not None
        return reached[model.quantization.method]

    about = context(original, digits, measured_accuracy=accuracy, target=load_target("android"))
    found = stage(QAT).apply(original, about)
    assert found.quantization is not None
    assert found.quantization.method == "tfmot-qat"
    assert found.lineage[-1].summary.startswith("INT8 by QAT in TF-MOT")
    assert isinstance(found.lineage[-1].details["loss"], float)
    reached["tfmot-qat"] = 0.4
    found = stage(QAT).apply(original, about)
    assert found.quantization is not None
    assert found.quantization.method == "ptq"


def test_clusters_that_keep_the_zeros(pruned: Model, digits: Data) -> None:
    options = TfmotClusterOptions(kind="tfmot-cluster", clusters=8, preserve_sparsity=True, epochs=1)
    clustered = stage(options).apply(pruned, context(pruned, digits))
    assert clustered.sparsity == pruned.sparsity
    values = clustered.lineage[-1].details["values"]
    assert isinstance(values, dict)
    assert values.keys() >= pruned.sparsity.keys()
    for name in values:
        weight = clustered.module.get_parameter(f"{name}.weight")
        assert len(torch.unique(weight)) <= 8 + 1, name  # eight, and zero
        assert name not in pruned.sparsity or pattern_of("2:4").holds(weight.detach().numpy()), name


def test_a_network_that_xnnpacks_sparse_kernels_cannot_take(digits: Data) -> None:
    options = TfmotPruneOptions(kind="tfmot-prune", layers="xnnpack", epochs=1)
    original = model_of(Shuffled)
    with pytest.raises(RejectedError, match="XNNPACK's sparse kernels: "):
        stage(options).apply(original, context(original, digits))


def test_only_pointwise_convolutions_for_xnnpack(digits: Data) -> None:
    options = TfmotPruneOptions(kind="tfmot-prune", layers="xnnpack", sparsity=0.7, epochs=1)
    original = model_of(Residual)
    found = stage(options).apply(original, context(original, digits))
    assert found.sparsity.keys() == {
        name
        for name, layer in original.module.named_modules()
        if isinstance(layer, torch.nn.Conv2d) and layer.kernel_size == (1, 1)
    }
    for name, pattern in found.sparsity.items():
        assert pattern_of(pattern).holds(found.module.get_parameter(f"{name}.weight").detach().numpy()), name
