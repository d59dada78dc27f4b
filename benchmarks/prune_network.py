"""One network of timm, torchvision or the zoo, pruned and proven: `python benchmarks/prune_network.py timm resnet18`.

Prints one JSON document. The weights are random, those included that initialisation sets to a constant: a
residual branch scaled by zero would prove nothing. The input is the smallest of `SIZES` that the network takes.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import resource
import time
import warnings
from collections import Counter
from typing import Any

import torch
from torch import Tensor, nn

from edgekit.errors import BudgetError, EdgekitError, InputError
from edgekit.graph.any_batch import for_any_batch
from edgekit.graph.budget import choose
from edgekit.graph.channels import ChannelGraph, channel_graph
from edgekit.graph.cost import cost_of_graph
from edgekit.graph.importance import importance
from edgekit.graph.surgery import FORWARD_ERRORS, TOLERANCE, masked_difference, remove_channels
from edgekit.graph.trace import trace
from edgekit.zoo.registry import networks

SIZES = (96, 128, 224, 256)
"""Pictures that are tried before the network's own size."""
SHARES = (0.5, 0.75, 0.9)
"""Budgets, of which the first that is within reach counts."""


def declare_operators() -> torch.library.Library:
    """Schemas of torchvision's compiled operators, which a torch of another build lacks; its networks call none.

    timm imports torchvision too. They last as long as what this gives.
    """
    library = torch.library.Library("torchvision", "DEF")  # type: ignore[no-untyped-call]
    for name in ("nms", "qnms"):
        library.define(  # type: ignore[no-untyped-call]
            f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
        )
    return library


def listed(source: str) -> list[str]:
    """The names of all networks of a source."""
    if source == "zoo":
        return list(networks())
    package = importlib.import_module("timm" if source == "timm" else "torchvision.models")
    return list(package.list_models())


def build(source: str, name: str) -> tuple[nn.Module, tuple[int, ...]]:
    """A network with random weights and the (C, H, W) that it was made for."""
    if source == "timm":
        timm = importlib.import_module("timm")
        module = timm.create_model(name, pretrained=False)
        return module, tuple(module.default_cfg.get("input_size", (3, 224, 224)))
    if source == "torchvision":
        models = importlib.import_module("torchvision.models")
        given = inspect.signature(models.get_model_builder(name)).parameters
        bare = dict.fromkeys(("weights", "weights_backbone") if "weights_backbone" in given else ("weights",))
        return models.get_model(name, **bare), (3, 224, 224)
    entry = networks()[name].about
    made = networks()[name].builder(num_classes=entry.num_classes, in_channels=3, width=1.0)
    return made, (3, entry.input_size, entry.input_size)


def randomise(module: nn.Module) -> None:
    """Values where initialisation put constants: around 1 for scales and variances, around 0 for the rest."""
    generator = torch.Generator().manual_seed(0)
    for name, value in (*module.named_parameters(), *module.named_buffers()):
        if value.is_floating_point() and value.numel() and bool((value == value.flatten()[0]).all()):
            scale = name.endswith(("running_var", "weight", "gamma", "scale")) or bool(value.flatten()[0] > 0)
            noise = torch.rand(value.shape, generator=generator)
            value.data.copy_(noise + 0.5 if scale else 0.2 * (noise - 0.5))


def fitting(module: nn.Module, native: tuple[int, ...]) -> tuple[int, ...]:
    """The smallest input (1, C, H, W) that the forward takes."""
    for size in SIZES:
        shape = (1, native[0], size, size)
        try:
            with torch.no_grad():
                module.eval()(torch.zeros(shape))
        except FORWARD_ERRORS:
            continue
        return shape
    return (1, *native)


def pruned(module: nn.Module, shape: tuple[int, ...]) -> dict[str, Any]:
    """What became of a network: figures and reasons."""
    graph = trace(module, shape)
    start = time.perf_counter()
    channels = channel_graph(graph)
    before = cost_of_graph(graph, module, shape).macs
    found: dict[str, Any] = {"macs_before": before, **frozen(channels)}
    scores = importance(module, channels)
    for share in SHARES:
        try:
            choice = choose(channels, module, scores, {"macs": int(share * before)}, multiple=1)
        except BudgetError as error:
            found["reason"] = error.what
            continue
        removal = remove_channels(module, channels, choice.removed)
        return found | {
            "verdict": "pruned",
            "macs_after": choice.left["macs"],
            "difference": removal.difference,
            "rewritten": removal.rewritten,
            "one_picture": one_picture(module, channels, choice.removed) if removal.rewritten else "",
            "prune_seconds": round(time.perf_counter() - start, 1),
            "reason": "",
        }
    return found | {"verdict": "refused"}


def one_picture(module: nn.Module, channels: ChannelGraph, removed: Tensor) -> str:
    """Why the graph that took the network's place takes one picture alone; empty where it takes any number of them."""
    try:
        graph = for_any_batch(module, channels, removed)
    except InputError as error:
        return error.what
    if (difference := masked_difference(module, graph, channels, removed)) > TOLERANCE:
        raise EdgekitError(f"the graph for any batch differs from the masked original by {difference:.1e}")
    return ""


def frozen(channels: ChannelGraph) -> dict[str, Any]:
    """How many channels of layers there are, and how many must stay, by reason."""
    groups = [group for group in channels.groups if channels.touches_weights(group)]
    reasons: Counter[str] = Counter()
    for group in groups:
        if group.frozen:
            reasons[group.frozen] += len(group.classes)
    return {"channels": sum(len(group.classes) for group in groups), "frozen": dict(reasons.most_common())}


def examine(source: str, name: str, max_params: float) -> dict[str, Any]:
    """One row of the table."""
    torch.manual_seed(0)
    module, native = build(source, name)
    params = sum(value.numel() for value in module.parameters())
    row: dict[str, Any] = {"source": source, "name": name, "params": params}
    if params > max_params:
        return row | {"verdict": "skipped", "reason": f"more than {max_params:g} parameters"}
    randomise(module)
    shape = fitting(module, native)
    row["input_shape"] = shape
    try:
        return row | pruned(module, shape)
    except InputError as error:
        return row | {"verdict": "refused", "reason": error.what}
    except EdgekitError as error:
        return row | {"verdict": "failed", "reason": error.what}


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("source", choices=("timm", "torchvision", "zoo"))
    parser.add_argument("name", nargs="?")
    parser.add_argument("--max-params", type=float, default=60e6)
    parser.add_argument("--memory-bytes", type=float, default=12e9)
    options = parser.parse_args()
    limit = int(options.memory_bytes)
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    start = time.perf_counter()
    _declared = declare_operators()
    if options.name is None:  # say what there is
        print(json.dumps(listed(options.source)))
        return
    row = examine(options.source, options.name, options.max_params)
    print(json.dumps(row | {"seconds": round(time.perf_counter() - start, 1)}))


if __name__ == "__main__":
    main()
