"""Where a network breaks the rules that make networks fast, and what each break costs where times were measured."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from edgekit.graph.advice import alignment, dilation, fragments, guidelines, reach
from edgekit.graph.advice.finding import Finding, Rule
from edgekit.graph.cost import Cost

__all__ = ["Advice", "Finding", "advise"]


@dataclass(frozen=True)
class Advice:
    """One rule that a network breaks, and where."""

    rule: str
    says: str
    source: str
    findings: tuple[Finding, ...]
    measured_ns: int | None
    """What the layers that are named took together on the device; None where nothing was measured."""
    timed_layers: int
    """Of how many of them the runtime told the time: it may have fused the others away."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Each layer that is named, once."""
        return tuple(dict.fromkeys(name for finding in self.findings for name in finding.layers))


def advise(
    cost: Cost, *, channel_multiple: int = 1, times_ns: Mapping[str, int] | None = None
) -> tuple[Advice, ...]:
    """The rules that a counted network breaks.

    `channel_multiple` is what the target's kernels want; `times_ns` holds a layer's measured time by its name, of the
    layers that the runtime told apart.
    """
    return tuple(
        _advice(rule, findings, times_ns or {})
        for rule, findings in _broken(cost, channel_multiple)
        if findings
    )


def _broken(cost: Cost, multiple: int) -> Iterator[tuple[Rule, list[Finding]]]:
    yield guidelines.WIDTHS, guidelines.unequal_widths(cost)
    yield guidelines.GROUPS, guidelines.group_convolutions(cost)
    yield fragments.RULE, fragments.side_by_side(cost)
    yield guidelines.ELEMENTWISE, guidelines.elementwise(cost)
    yield dilation.RULE, dilation.gridding(cost)
    yield alignment.rule(multiple), alignment.unaligned(cost, multiple)
    yield reach.RULE, reach.beyond_input(cost)


def _advice(rule: Rule, findings: list[Finding], times_ns: Mapping[str, int]) -> Advice:
    names = dict.fromkeys(name for finding in findings for name in finding.layers)
    timed = [times_ns[name] for name in names if name in times_ns]
    return Advice(
        rule.name, rule.says, rule.source, tuple(findings), sum(timed) if timed else None, len(timed)
    )
