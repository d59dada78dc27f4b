"""What the loss would change by, to first order, if a channel were zero (Molchanov et al. 2019)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import torch
from torch import Tensor, nn

from edgekit.errors import InputError
from edgekit.graph.channels import ChannelGraph
from edgekit.graph.importance import totals
from edgekit.graph.importance.evidence import Evidence

BATCH: Final = 16
"""Pictures a gradient; signs of single pictures cancel in larger ones."""


def first_order(module: nn.Module, channels: ChannelGraph, evidence: Evidence) -> Tensor:
    """(labels,), float64: (Σ g·w over all entries of all slots of a class)², the mean over batches.

    Gradients are taken in eval mode; scores can be compared across layers, since all are changes of one loss.
    Raises `InputError` where nothing is labelled, and for gradients that are not finite.
    """
    found, by_parameter = totals.zeros(channels), totals.by_parameter(channels)
    for count, products in enumerate(_products(module, evidence), start=1):
        change = totals.zeros(channels)
        for name, slots in by_parameter.items():
            if name in products:
                values = totals.folded(products[name], slots)
                for slot in slots:
                    totals.add(change, slot, totals.by_entry(values, slot))
        found += (change.square() - found) / count
    return found


def of_weights(module: nn.Module, evidence: Evidence) -> dict[str, Tensor]:
    """Parameter → (g·w)² of each of its entries, the mean over batches; raises as `first_order` does."""
    found = {name: torch.zeros_like(value) for name, value in module.named_parameters()}
    for count, products in enumerate(_products(module, evidence), start=1):
        for name, product in products.items():
            found[name] += (product.square() - found[name]) / count
    return found


def _products(module: nn.Module, evidence: Evidence) -> Iterator[dict[str, Tensor]]:
    """Parameter → gradient · value, batch by batch."""
    if evidence.targets is None:
        raise InputError(
            "the criterion taylor needs the gradient of the loss, and the pictures have no classes",
            hint="give labelled pictures, or choose the criterion reconstruction",
        )
    for start in range(0, len(evidence.images), BATCH):
        batch = slice(start, start + BATCH)
        yield _of_batch(module, evidence.images[batch], evidence.targets[batch], evidence)


def _of_batch(module: nn.Module, images: Tensor, targets: Tensor, evidence: Evidence) -> dict[str, Tensor]:
    """The module is left as it is."""
    values = {name: value.detach().clone().requires_grad_() for name, value in module.named_parameters()}
    outputs = torch.func.functional_call(module, values, (images,))
    loss = evidence.loss(outputs, targets)
    gradients = torch.autograd.grad(loss, list(values.values()), materialize_grads=True)
    products = {}
    for (name, value), gradient in zip(values.items(), gradients, strict=True):
        if not bool(torch.isfinite(gradient).all()):
            raise InputError(
                f"the gradient of {name} is not finite",
                hint="look for NaN in the data, or train the network again",
            )
        products[name] = (gradient * value).detach()
    return products
