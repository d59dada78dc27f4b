"""ShuffleNet V2's G3: layers on paths side by side (Ma et al. 2018, section 2)."""

from __future__ import annotations

from edgekit.graph.advice.finding import Finding, Rule
from edgekit.graph.cost import Cost

RULE = Rule("G3", "small operators side by side use a parallel device badly", "Ma et al. 2018")


def side_by_side(cost: Cost) -> list[Finding]:
    """Blocks of layers with weights that run beside others: neither waits for the other's results."""
    before = _ancestors(cost)
    weighted = [place for place, layer in enumerate(cost.layers) if layer.weights]
    blocks: list[list[int]] = []
    for index, place in enumerate(weighted):
        beside = [other for other in weighted[:index] if not before[place] >> other & 1]
        if not beside:
            continue
        if blocks and not set(blocks[-1]).isdisjoint(beside):
            blocks[-1] = sorted({*blocks[-1], *beside, place})
        else:
            blocks.append([*beside, place])
    return [_finding(cost, block) for block in blocks]


def _ancestors(cost: Cost) -> list[int]:
    """For each layer the layers that it waits for, as bits."""
    before: list[int] = []
    for layer in cost.layers:
        bits = 0
        for place in layer.after:
            bits |= before[place] | 1 << place
        before.append(bits)
    return before


def _finding(cost: Cost, block: list[int]) -> Finding:
    layers = [cost.layers[place] for place in block]
    share = sum(layer.macs for layer in layers) / max(cost.macs, 1)
    names = tuple(layer.name for layer in layers)
    return Finding(names, f"{len(layers)} layers on parallel paths, {share:.1%} of the MACs")
