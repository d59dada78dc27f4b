"""The error at the outputs of a channel's consumers, on real pictures (in the spirit of ThiNet, Luo et al. 2017)."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from edgekit.graph.channels import ChannelGraph
from edgekit.graph.importance import totals
from edgekit.graph.importance.consumers import watch
from edgekit.graph.importance.evidence import Evidence


def error(module: nn.Module, channels: ChannelGraph, evidence: Evidence) -> Tensor:
    """(labels,), float64: by how much a class's going adds to the squared error at its consumers; NaN without any.

    The error is that of each layer which reads the class, as a share of what that layer gives, summed over layers.
    Classes of a group go one by one, each time the one that adds least to what the others took along, as in
    ThiNet's greedy search; shares can be compared across layers.
    """
    found = torch.full_like(totals.zeros(channels), torch.nan)
    shared = [torch.zeros(len(group.classes), len(group.classes)).double() for group in channels.groups]
    read = torch.zeros(len(found), dtype=torch.bool)
    place = torch.zeros(len(found), dtype=torch.int64)
    for group in channels.groups:
        place[group.classes] = torch.arange(len(group.classes))
    for consumer in watch(module, channels, evidence.images):
        whole = float(sum(block.sum() for block in consumer.products)) or 1.0
        for classes, products in zip(consumer.classes, consumer.products, strict=True):
            read[classes] = True
            groups = channels.group_of[classes]
            for index in torch.unique(groups[groups >= 0]).tolist():
                own = groups == index
                to = place[classes[own]]
                into = torch.zeros(int(own.sum()), len(shared[index])).double()
                into.index_add_(1, to, products[own][:, own] / whole)
                shared[index].index_add_(0, to, into)
    for group, products in zip(channels.groups, shared, strict=True):
        found[group.classes] = _added(products)
    return torch.where(read, found, torch.nan)


def _added(products: Tensor) -> Tensor:
    """(classes,): what each adds to the error when it goes; never less than the one before added.

    `products` (classes, classes): the scalar products of what they contribute; |Σ|² over those that went is the error.
    """
    scores, alone = torch.zeros(len(products)).double(), products.diagonal()
    along, left = torch.zeros_like(scores), torch.ones(len(products), dtype=torch.bool)
    floor = 0.0
    for _ in range(len(products)):
        adds = (alone + 2 * along).masked_fill(~left, torch.inf)
        next_one = int(adds.argmin())
        floor = max(floor, float(adds[next_one]))
        scores[next_one], left[next_one] = floor, False
        along += products[next_one]
    return scores
