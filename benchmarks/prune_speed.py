"""How long pruning takes after the export: `python benchmarks/prune_speed.py [--input-size 224] [--macs 0.5]`.

Three networks of full size (random weights): ResNet-50, DenseNet-121, EfficientNet-B0. *Analysis* finds the channel
classes; a *step* chooses what goes, matches the survivors and cuts the parameters; the *proof* runs the masked and
the pruned network in float64. The best of three runs each, but one proof. Torch-Pruning stands beside
it, at the same share of channels: its dependency graph and one step of group-magnitude pruning, the best of three.
"""

from __future__ import annotations

import argparse
import copy
import time
from collections.abc import Callable
from typing import TypeVar

import torch
import torch.nn.functional as F
import torch_pruning
from torch import Tensor, nn

from edgekit.graph.budget import choose
from edgekit.graph.channels import channel_graph
from edgekit.graph.cost import cost_of_graph
from edgekit.graph.importance import importance
from edgekit.graph.surgery import cut, masked_difference
from edgekit.graph.survivors import survivors
from edgekit.graph.trace import trace

Result = TypeVar("Result")


def conv(
    inputs: int,
    outputs: int,
    kernel: int = 1,
    stride: int = 1,
    *,
    groups: int = 1,
    act: type[nn.Module] | None = nn.ReLU,
) -> nn.Sequential:
    layer = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, groups=groups, bias=False)
    return nn.Sequential(layer, nn.BatchNorm2d(outputs), *([] if act is None else [act()]))


class Bottleneck(nn.Module):
    def __init__(self, inputs: int, inner: int, stride: int) -> None:
        super().__init__()
        self.branch = nn.Sequential(
            conv(inputs, inner), conv(inner, inner, 3, stride), conv(inner, 4 * inner, act=None)
        )
        same = stride == 1 and inputs == 4 * inner
        self.shortcut = nn.Identity() if same else conv(inputs, 4 * inner, stride=stride, act=None)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(self.branch(x) + self.shortcut(x))


def resnet50() -> nn.Module:
    layers: list[nn.Module] = [conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    inputs = 64
    for stage, repeats in enumerate((3, 4, 6, 3)):
        for index in range(repeats):
            layers.append(Bottleneck(inputs, 64 << stage, 2 if stage and not index else 1))
            inputs = 256 << stage
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(2048, 1000))


class DenseStage(nn.Module):
    def __init__(self, inputs: int, layers: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(
            nn.Sequential(
                nn.BatchNorm2d(inputs + 32 * index),
                nn.ReLU(),
                conv(inputs + 32 * index, 128),
                nn.Conv2d(128, 32, 3, padding=1, bias=False),
            )
            for index in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.layers:
            features.append(layer(torch.cat(features, 1)))
        return torch.cat(features, 1)


def densenet121() -> nn.Module:
    layers: list[nn.Module] = [conv(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)]
    width = 64
    for stage, count in enumerate((6, 12, 24, 16)):
        layers.append(DenseStage(width, count))
        width += 32 * count
        layers.extend((nn.BatchNorm2d(width), nn.ReLU()))
        if stage < 3:
            layers.extend((nn.Conv2d(width, width // 2, 1, bias=False), nn.AvgPool2d(2)))
            width //= 2
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 1000))


class Inverted(nn.Module):
    def __init__(self, inputs: int, outputs: int, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        wide = inputs * expansion
        self.expand = nn.Identity() if expansion == 1 else conv(inputs, wide, act=nn.SiLU)
        self.depthwise = conv(wide, wide, kernel, stride, groups=wide, act=nn.SiLU)
        self.squeeze, self.excite = (
            nn.Conv2d(wide, max(1, inputs // 4), 1),
            nn.Conv2d(max(1, inputs // 4), wide, 1),
        )
        self.project, self.skip = conv(wide, outputs, act=None), stride == 1 and inputs == outputs

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.depthwise(self.expand(x))
        y = y * torch.sigmoid(self.excite(F.silu(self.squeeze(F.adaptive_avg_pool2d(y, 1)))))
        y = self.project(y)
        return x + y if self.skip else y


def efficientnet_b0() -> nn.Module:
    rows = ((1, 3, 1, 16, 1), (6, 3, 2, 24, 2), (6, 5, 2, 40, 2), (6, 3, 2, 80, 3), (6, 5, 1, 112, 3))
    layers: list[nn.Module] = [conv(3, 32, 3, 2, act=nn.SiLU)]
    width = 32
    for expansion, kernel, stride, outputs, repeats in (*rows, (6, 5, 2, 192, 4), (6, 3, 1, 320, 1)):
        for index in range(repeats):
            layers.append(Inverted(width, outputs, kernel, stride if index == 0 else 1, expansion))
            width = outputs
    tail = (conv(320, 1280, act=nn.SiLU), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(1280, 1000))
    return nn.Sequential(*layers, *tail)


def timed(work: Callable[[], Result], runs: int = 3) -> tuple[Result, float]:
    best = float("inf")
    for _ in range(runs):
        start = time.perf_counter()
        result = work()
        best = min(best, time.perf_counter() - start)
    return result, best


def theirs(module: nn.Module, shape: tuple[int, ...], ratio: float) -> float:
    """Seconds in which Torch-Pruning analyses a network and takes a share of its channels."""
    head = [layer for layer in module.modules() if isinstance(layer, nn.Linear)][-1]
    best = float("inf")
    for _ in range(3):
        network = copy.deepcopy(module)
        copied = dict(zip(module.modules(), network.modules(), strict=True))
        start = time.perf_counter()
        pruner = torch_pruning.pruner.BasePruner(
            network,
            torch.zeros(shape),
            importance=torch_pruning.importance.GroupMagnitudeImportance(p=2),
            pruning_ratio=ratio,
            global_pruning=True,
            round_to=8,
            ignored_layers=[copied[head]],
        )
        pruner.step()
        best = min(best, time.perf_counter() - start)
    return best


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--input-size", type=int, default=224)
    parser.add_argument("--macs", type=float, default=0.5)
    options = parser.parse_args()
    shape = (1, 3, options.input_size, options.input_size)
    columns = (
        "export",
        "analysis",
        "choose",
        "match",
        "cut",
        "step",
        "all but proof",
        "proof",
        "Torch-Pruning",
    )
    print(f"| network | {' | '.join(columns)} | difference |\n|{'---|' * (len(columns) + 2)}")
    for make in (resnet50, densenet121, efficientnet_b0):
        torch.manual_seed(0)
        module = make().eval()
        graph, export = timed(lambda: trace(module, shape))  # noqa: B023
        channels, analysis = timed(lambda: channel_graph(graph))  # noqa: B023
        allowed = int(options.macs * cost_of_graph(graph, module, shape).macs)
        choice, chosen = timed(
            lambda: choose(channels, module, importance(module, channels), {"macs": allowed}, multiple=8)  # noqa: B023
        )
        smaller, matched = timed(lambda: survivors(channels, choice.removed))  # noqa: B023
        pruned, gathered = timed(lambda: cut(module, smaller))  # noqa: B023
        difference, proof = timed(lambda: masked_difference(module, pruned, channels, choice.removed), 1)  # noqa: B023
        steps = (export, analysis, chosen, matched, gathered)
        ratio = len(choice.removed) / sum(len(group.classes) for group in channels.groups)
        times = (*steps, sum(steps[2:]), sum(steps), proof, theirs(module, shape, ratio))
        print(f"| {make.__name__} | {' | '.join(f'{each:.2f} s' for each in times)} | {difference:.1e} |")


if __name__ == "__main__":
    main()
