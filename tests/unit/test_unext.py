"""UNeXt: its published counts and keys, its shift, its blocks, and what it refuses."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from edgekit.errors import InputError
from edgekit.graph.cost import cost
from edgekit.model import Source
from edgekit.pipeline.network import new_model, preprocessing_of
from edgekit.zoo import architecture, build
from edgekit.zoo.unext import DropPath, PatchEmbed, TokenBlock, shift
from edgekit.zoo.weights import load_weights

BLOCK = (
    *("norm2.weight", "norm2.bias", "mlp.fc1.weight", "mlp.fc1.bias", "mlp.dwconv.dwconv.weight"),
    *("mlp.dwconv.dwconv.bias", "mlp.fc2.weight", "mlp.fc2.bias"),
)
NORM = ("weight", "bias", "running_mean", "running_var", "num_batches_tracked")
PAIR = ("weight", "bias")


def unext(name: str = "unext-s", *, classes: int = 1, channels: int = 3) -> nn.Module:
    torch.manual_seed(0)
    return build(Source(name=name, num_classes=classes, in_channels=channels)).eval()


@pytest.mark.parametrize(
    ("name", "params", "macs"), [("unext", 1_471_921, 562_003_968), ("unext-s", 253_561, 99_229_696)]
)
def test_the_published_counts(name: str, params: int, macs: int) -> None:
    counted = cost(unext(name), (1, 3, 256, 256))
    assert (counted.params, counted.macs) == (params, macs)


def params_by_hand(widths: tuple[int, int, int, int, int]) -> int:
    """Convolutions 3×3 with biases, two values a channel of each norm, four blocks, the 1×1 at the end."""
    one, two, three, four, five = widths

    def block(width: int) -> int:
        return 2 * width + 2 * (width * width + width) + 10 * width

    down = [(3, one), (one, two), (two, three), (three, four), (four, five)]
    up = [(five, four), (four, three), (three, two), (two, one), (one, one)]
    convolutions = sum(9 * inputs * outputs + outputs for inputs, outputs in down + up)
    norms = 2 * sum((one, two, three, four, five)) + 2 * (four + five) + 2 * (four + three + two + one)
    norms += 2 * (four + three)
    return convolutions + norms + 2 * block(four) + block(five) + block(three) + one + 1


@pytest.mark.parametrize(
    ("name", "widths"),
    [
        ("unext", (16, 32, 128, 160, 256)),
        ("unext-s", (8, 16, 32, 64, 128)),
        ("unext-l", (32, 64, 128, 160, 256)),
    ],
)
def test_every_size_has_the_parameters_of_its_widths(
    name: str, widths: tuple[int, int, int, int, int]
) -> None:
    assert sum(value.numel() for value in unext(name).parameters()) == params_by_hand(widths)


def test_the_keys_are_the_authors() -> None:
    layers = {
        **{f"encoder{i}": PAIR for i in (1, 2, 3)},
        **{f"decoder{i}": PAIR for i in (1, 2, 3, 4, 5)},
        **{f"ebn{i}": NORM for i in (1, 2, 3)},
        **{f"dbn{i}": NORM for i in (1, 2, 3, 4)},
        **dict.fromkeys(("norm3", "norm4", "dnorm3", "dnorm4", "final"), PAIR),
        **{f"patch_embed{i}.{part}": PAIR for i in (3, 4) for part in ("proj", "norm")},
        **{f"{name}.0": BLOCK for name in ("block1", "block2", "dblock1", "dblock2")},
    }
    expected = {f"{layer}.{name}" for layer, names in layers.items() for name in names}
    assert set(unext().state_dict()) == expected
    assert len(expected) == 101


@pytest.mark.parametrize(("axis", "along"), [(2, "rows"), (3, "columns")])
def test_channels_are_shifted_in_five_groups_and_zeros_come_in(axis: int, along: str) -> None:
    picture = torch.arange(1.0, 5 * 4 * 6 + 1).reshape(1, 5, 4, 6)
    tokens = picture.flatten(2).transpose(1, 2)
    result = shift(tokens, 4, 6, axis).transpose(1, 2).reshape(1, 5, 4, 6)
    for channel, step in enumerate((-2, -1, 0, 1, 2)):
        expected = torch.zeros(4, 6)
        before = picture[0, channel] if along == "rows" else picture[0, channel].T
        after = expected if along == "rows" else expected.T
        for index in range(len(before)):
            if 0 <= index - step < len(before):
                after[index] = before[index - step]
        assert torch.equal(result[0, channel], expected)


def test_sixteen_channels_make_four_groups() -> None:
    tokens = torch.ones(1, 36, 16)
    lost = (shift(tokens, 6, 6, 2) == 0).sum(dim=1)[0]
    assert lost.tolist() == [12] * 4 + [6] * 4 + [0] * 4 + [6] * 4  # 4 channels a group: -2, -1, 0, 1


def test_a_block_is_the_mlp_beside_a_skip() -> None:
    torch.manual_seed(0)
    block, tokens = TokenBlock(10).eval(), torch.randn(2, 20, 10)
    nn.init.zeros_(block.mlp.fc2.weight)
    nn.init.ones_(block.mlp.fc2.bias)
    assert torch.equal(block(tokens, 4, 5), tokens + 1)


def test_patches_are_normalised_tokens() -> None:
    tokens, height, width = PatchEmbed(3, 8)(torch.randn(2, 3, 6, 10))
    assert (tokens.shape, height, width) == ((2, 15, 8), 3, 5)
    assert torch.allclose(tokens.mean(-1), torch.zeros(2, 15), atol=1e-6)


def test_drop_path_leaves_out_whole_branches_in_training_alone() -> None:
    torch.manual_seed(0)
    branches, drop = torch.ones(4000, 2, 3), DropPath(0.25)
    dropped = drop.train()(branches)
    assert torch.equal(drop.eval()(branches), branches)
    assert dropped.unique().tolist() == pytest.approx([0, 1 / 0.75])
    assert bool((dropped == dropped[:, :1, :1]).all())
    assert float(dropped.mean()) == pytest.approx(1, abs=0.05)


def test_logits_have_the_pictures_size_and_the_classes() -> None:
    assert unext(classes=4, channels=1)(torch.zeros(2, 1, 64, 96)).shape == (2, 4, 64, 96)


@pytest.mark.parametrize(("size", "near"), [(100, "128x128"), (255, "256x256"), (16, "32x32")])
def test_other_sizes_than_multiples_of_32_are_refused(size: int, near: str) -> None:
    with pytest.raises(InputError, match=f"multiples of 32, not {size}×{size}") as refused:
        preprocessing_of(architecture("unext-s"), size)
    assert near in refused.value.hint


def test_the_published_number_of_classes_is_one() -> None:
    found = architecture("unext-s")
    assert new_model(found, preprocessing_of(found, 64)).source.num_classes == 1


def test_an_older_checkpoint_is_told_by_its_sizes(tmp_path: Path) -> None:
    older = tmp_path / "unext.safetensors"
    save_file(unext("unext-s").state_dict(), older)
    assert not load_weights(unext("unext-s"), older, Source(name="unext-s", num_classes=1)).head_replaced
    with pytest.raises(InputError, match="do not fit unext") as refused:
        load_weights(unext("unext"), older, Source(name="unext", num_classes=1))
    assert refused.value.hint == "they are those of unext-s"
