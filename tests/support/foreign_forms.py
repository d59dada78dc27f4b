"""Keys and shapes of weights as other projects publish them, from their own descriptions of the networks.

Each form is a table key → shape in the order in which its layers run, at width 1 with 1000 classes; nothing here
looks at edgekit's networks or at its renaming.
"""

from __future__ import annotations

import re

Form = dict[str, tuple[int, ...]]
CLASSES = 1000

V3_LARGE = (
    "ds_r1_k3_s1_e1_c16",
    "ir_r1_k3_s2_e4_c24 ir_r1_k3_s1_e3_c24",
    "ir_r3_k5_s2_e3_c40_se",
    "ir_r1_k3_s2_e6_c80 ir_r1_k3_s1_e2.5_c80 ir_r2_k3_s1_e2.3_c80",
    "ir_r2_k3_s1_e6_c112_se",
    "ir_r3_k5_s2_e6_c160_se",
    "cn_r1_k1_s1_e1_c960",
)
V3_SMALL = (
    "ds_r1_k3_s2_e1_c16_se",
    "ir_r1_k3_s2_e4.5_c24 ir_r1_k3_s1_e3.67_c24",
    "ir_r1_k5_s2_e4_c40_se ir_r2_k5_s1_e6_c40_se",
    "ir_r2_k5_s1_e3_c48_se",
    "ir_r3_k5_s2_e6_c96_se",
    "cn_r1_k1_s1_e1_c576",
)
V1 = (
    "ds_r1_k3_s1_e1_c64",
    "ds_r2_k3_s2_e1_c128",
    "ds_r2_k3_s2_e1_c256",
    "ds_r6_k3_s2_e1_c512",
    "ds_r2_k3_s2_e1_c1024",
)
GHOST = (
    "k3_e16_c16_s1", "k3_e48_c24_s2", "k3_e72_c24_s1", "k5_e72_c40_se_s2", "k5_e120_c40_se_s1", "k3_e240_c80_s2",
    "k3_e200_c80_s1 k3_e184_c80_s1 k3_e184_c80_s1 k3_e480_c112_se_s1 k3_e672_c112_se_s1", "k5_e672_c160_se_s2",
    "k5_e960_c160_s1 k5_e960_c160_se_s1 k5_e960_c160_s1 k5_e960_c160_se_s1",
)  # fmt: skip


def conv(name: str, outputs: int, inputs: int, *kernel: int, bias: bool = False) -> Form:
    """A convolution, or a linear layer where there is no kernel."""
    return {f"{name}.weight": (outputs, inputs, *kernel)} | ({f"{name}.bias": (outputs,)} if bias else {})


def norm(name: str, channels: int) -> Form:
    """A batch norm's five tensors."""
    kinds = ("weight", "bias", "running_mean", "running_var")
    return {f"{name}.{kind}": (channels,) for kind in kinds} | {f"{name}.num_batches_tracked": ()}


def rounded(value: float, divisor: int = 8) -> int:
    """To a multiple, not more than a tenth below."""
    nearest = max(divisor, int(value / divisor + 0.5) * divisor)
    return nearest + divisor if nearest < 0.9 * value else nearest


def timm_mobilenet(stages: tuple[str, ...], stem: int, head: int) -> Form:
    """timm's MobileNets, from its block strings: type, repeats, kernel, stride, expansion, channels, gate."""
    form, channels = conv("conv_stem", stem, 3, 3, 3) | norm("bn1", stem), stem
    for stage, texts in enumerate(stages):
        strings = [text for text in texts.split() for _ in range(int(text.split("_r")[1][0]))]
        for index, text in enumerate(strings):
            kind, kernel = text[:2], int(text.split("_k")[1][0])
            expansion = float(re.findall(r"_e([\d.]+)", text)[0])
            outputs, hidden = int(re.findall(r"_c(\d+)", text)[0]), rounded(channels * expansion)
            form |= _timm_block(
                f"blocks.{stage}.{index}", kind, channels, hidden, outputs, kernel, "_se" in text
            )
            channels = outputs
    if head:
        form |= conv("conv_head", head, channels, 1, 1, bias=True)
    return form | conv("classifier", CLASSES, head or channels, bias=True)


def _timm_block(
    name: str, kind: str, inputs: int, hidden: int, outputs: int, kernel: int, gated: bool
) -> Form:
    if kind == "cn":
        return conv(f"{name}.conv", outputs, inputs, 1, 1) | norm(f"{name}.bn1", outputs)
    depthwise, squeezed = conv(f"{name}.conv_dw", hidden, 1, kernel, kernel), rounded(hidden / 4)
    gate = gates(name, hidden, squeezed) if gated else {}
    if kind == "ds":
        pointwise = conv(f"{name}.conv_pw", outputs, hidden, 1, 1)
        return depthwise | norm(f"{name}.bn1", hidden) | gate | pointwise | norm(f"{name}.bn2", outputs)
    return (
        conv(f"{name}.conv_pw", hidden, inputs, 1, 1) | norm(f"{name}.bn1", hidden)
        | depthwise | norm(f"{name}.bn2", hidden) | gate
        | conv(f"{name}.conv_pwl", outputs, hidden, 1, 1) | norm(f"{name}.bn3", outputs)
    )  # fmt: skip


def gates(name: str, hidden: int, squeezed: int) -> Form:
    """timm's and GhostNet's squeeze-and-excitation."""
    reduce = conv(f"{name}.se.conv_reduce", squeezed, hidden, 1, 1, bias=True)
    return reduce | conv(f"{name}.se.conv_expand", hidden, squeezed, 1, 1, bias=True)


def sequential_mobilenetv1() -> Form:
    """The older public form: 14 numbered sequentials, each conv, norm, ReLU, conv, norm, ReLU."""
    form, channels = conv("model.0.0", 32, 3, 3, 3) | norm("model.0.1", 32), 32
    for number, outputs in enumerate((64, 128, 128, 256, 256, *[512] * 6, 1024, 1024), start=1):
        form |= conv(f"model.{number}.0", channels, 1, 3, 3) | norm(f"model.{number}.1", channels)
        form |= conv(f"model.{number}.3", outputs, channels, 1, 1) | norm(f"model.{number}.4", outputs)
        channels = outputs
    return form | conv("fc", CLASSES, channels, bias=True)


def ghostnet(*, attention: bool) -> Form:
    """The authors' and timm's GhostNets."""
    form, channels, seen = conv("conv_stem", 16, 3, 3, 3) | norm("bn1", 16), 16, 0
    for stage, texts in enumerate(GHOST):
        for index, text in enumerate(texts.split()):
            kernel, hidden, outputs = (int(re.findall(rf"{key}(\d+)", text)[0]) for key in "kec")
            name, strided = f"blocks.{stage}.{index}", text.endswith("s2")
            form |= _ghost(f"{name}.ghost1", channels, hidden)
            form |= _attention(f"{name}.ghost1", channels, hidden) if attention and seen >= 2 else {}
            if strided:
                form |= conv(f"{name}.conv_dw", hidden, 1, kernel, kernel) | norm(f"{name}.bn_dw", hidden)
            form |= gates(name, hidden, rounded(hidden / 4, 4)) if "_se" in text else {}
            form |= _ghost(f"{name}.ghost2", hidden, outputs)
            if strided or channels != outputs:
                form |= conv(f"{name}.shortcut.0", channels, 1, kernel, kernel)
                form |= norm(f"{name}.shortcut.1", channels)
                form |= conv(f"{name}.shortcut.2", outputs, channels, 1, 1)
                form |= norm(f"{name}.shortcut.3", outputs)
            channels, seen = outputs, seen + 1
    form |= conv("blocks.9.0.conv", 960, channels, 1, 1) | norm("blocks.9.0.bn1", 960)
    return form | conv("conv_head", 1280, 960, 1, 1, bias=True) | conv("classifier", CLASSES, 1280, bias=True)


def _ghost(name: str, inputs: int, outputs: int) -> Form:
    half = -(-outputs // 2)
    primary = conv(f"{name}.primary_conv.0", half, inputs, 1, 1) | norm(f"{name}.primary_conv.1", half)
    return (
        primary | conv(f"{name}.cheap_operation.0", half, 1, 3, 3) | norm(f"{name}.cheap_operation.1", half)
    )


def _attention(name: str, inputs: int, outputs: int) -> Form:
    form: Form = {}
    for place, shape in ((0, (outputs, inputs, 1, 1)), (2, (outputs, 1, 1, 5)), (4, (outputs, 1, 5, 1))):
        form |= conv(f"{name}.short_conv.{place}", *shape) | norm(f"{name}.short_conv.{place + 1}", outputs)
    return form


def squeezenet(fires: str, stem: tuple[int, int]) -> Form:
    """torchvision's SqueezeNets: `fires` maps places in `features` to squeezed and expanded channels."""
    channels, kernel = stem
    form = conv("features.0", channels, 3, kernel, kernel, bias=True)
    for text in fires.split():
        place, squeezed, expanded = map(int, re.split(r"[:/]", text))
        name = f"features.{place}"
        form |= conv(f"{name}.squeeze", squeezed, channels, 1, 1, bias=True)
        form |= conv(f"{name}.expand1x1", expanded, squeezed, 1, 1, bias=True)
        form |= conv(f"{name}.expand3x3", expanded, squeezed, 3, 3, bias=True)
        channels = 2 * expanded
    return form | conv("classifier.1", CLASSES, channels, 1, 1, bias=True)


def _layers(name: str, text: str, channels: tuple[int, ...]) -> Form:
    """`p` pointwise and `d` depthwise convolutions at their places, each with its norm behind it."""
    form: Form = {}
    for index, (kind, place) in enumerate(part for part in zip(text[::2], text[1::2], strict=True)):
        inputs, outputs = channels[index], channels[index + 1]
        shape = (outputs, inputs, 1, 1) if kind == "p" else (outputs, 1, 3, 3)
        form |= conv(f"{name}.{place}", *shape) | norm(f"{name}.{int(place) + 1}", outputs)
    return form


def torchvision_shufflenetv2(stages: tuple[int, int, int], last: int) -> Form:
    """torchvision's ShuffleNet V2: both branches of a strided unit are as wide."""
    form, channels = conv("conv1.0", 24, 3, 3, 3) | norm("conv1.1", 24), 24
    for stage, outputs, repeats in zip((2, 3, 4), stages, (4, 8, 4), strict=True):
        half = outputs // 2
        for index in range(repeats):
            name = f"stage{stage}.{index}"
            if index == 0:
                form |= _layers(f"{name}.branch1", "d0p2", (channels, channels, half))
            arriving = channels if index == 0 else half
            form |= _layers(f"{name}.branch2", "p0d3p5", (arriving, half, half, half))
        channels = outputs
    form |= conv("conv5.0", last, channels, 1, 1) | norm("conv5.1", last)
    return form | conv("fc", CLASSES, last, bias=True)


def authors_shufflenetv2(stages: tuple[int, int, int], last: int) -> Form:
    """The authors' ShuffleNet V2: the branch beside a stride keeps its width."""
    form, channels, place = conv("first_conv.0", 24, 3, 3, 3) | norm("first_conv.1", 24), 24, 0
    for outputs, repeats in zip(stages, (4, 8, 4), strict=True):
        middle = outputs // 2
        for index in range(repeats):
            name, arriving = f"features.{place}", channels if index == 0 else channels // 2
            widths = (arriving, middle, middle, outputs - arriving)
            form |= _layers(f"{name}.branch_main", "p0d3p5", widths)
            if index == 0:
                form |= _layers(f"{name}.branch_proj", "d0p2", (channels,) * 3)
            channels, place = outputs, place + 1
    form |= conv("conv_last.0", last, channels, 1, 1) | norm("conv_last.1", last)
    return form | conv("classifier.0", CLASSES, last)


def authors_shufflenetv1(groups: int, stem: int, first: int) -> Form:
    """The authors' ShuffleNet: grouped pointwise convolutions but for the first."""
    form, channels, place = conv("first_conv.0", stem, 3, 3, 3) | norm("first_conv.1", stem), stem, 0
    for stage, repeats in enumerate((4, 8, 4)):
        outputs = first * 2**stage
        for index in range(repeats):
            name, middle = f"features.{place}", outputs // 4
            form |= conv(f"{name}.branch_main_1.0", middle, channels // (groups if place else 1), 1, 1)
            form |= norm(f"{name}.branch_main_1.1", middle)
            form |= conv(f"{name}.branch_main_1.3", middle, 1, 3, 3) | norm(f"{name}.branch_main_1.4", middle)
            added = outputs - channels if index == 0 else outputs
            form |= conv(f"{name}.branch_main_2.0", added, middle // groups, 1, 1)
            form |= norm(f"{name}.branch_main_2.1", added)
            channels, place = outputs, place + 1
    return form | conv("classifier.0", CLASSES, channels)
