"""Channels that are no multiple of what the target's file asks for."""

from __future__ import annotations

from edgekit.graph.advice.finding import Finding, Rule
from edgekit.graph.cost import Cost


def rule(multiple: int) -> Rule:
    """What the target's file asks for; whether the vendor says so stands there."""
    return Rule(
        "channels",
        f"widths are best whole groups of {multiple} channels",
        "the target's file, which says where that comes from",
    )


def unaligned(cost: Cost, multiple: int) -> list[Finding]:
    """Layers whose output channels are no multiple, but for the network's last: its classes are what they are."""
    followed = {place for layer in cost.layers for place in layer.after}
    findings = []
    for place, layer in enumerate(cost.layers):
        channels = layer.weights.output_channels if layer.weights else 0
        if channels % multiple and place in followed:
            padded = -(-channels // multiple) * multiple
            more = padded / channels - 1
            findings.append(
                Finding(
                    (layer.name,),
                    f"{channels} channels: {padded} where a kernel fills the group (+{more:.0%})",
                )
            )
    return findings
